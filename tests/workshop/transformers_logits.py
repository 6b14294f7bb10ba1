"""Logits of transformers, for an environment that has torch: ``python transformers_logits.py FOLDER TOKENS...`` prints JSON rows."""

from __future__ import annotations

import json
import sys


def main() -> None:
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        rows = model(torch.tensor([[int(each) for each in sys.argv[2:]]])).logits[0]
    print(json.dumps([[round(float(value), 5) for value in row] for row in rows]))


if __name__ == "__main__":
    main()
