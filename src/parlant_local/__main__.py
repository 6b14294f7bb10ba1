"""``python -m parlant_local``: the command, where no script directory is on the path."""

from parlant_local.cli.main import main

if __name__ == "__main__":
    main()
