"""Logits of transformers, for an environment that has torch: ``python transformers_logits.py TOKENS FOLDER...`` prints a line of JSON,
rows of logits, for each model."""

from __future__ import annotations

import json
import sys


def main() -> None:
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    tokens = torch.tensor([[int(each) for each in sys.argv[1].split(",")]])
    for folder in sys.argv[2:]:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        with torch.no_grad():
            rows = model(tokens).logits[0]
        print(json.dumps([[round(float(value), 5) for value in row] for row in rows]), flush=True)


if __name__ == "__main__":
    main()
