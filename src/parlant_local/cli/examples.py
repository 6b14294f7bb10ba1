"""Examples that stand below each verb's help."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["EXAMPLES"]

# Kept apart from the verbs: a test runs each line, in this order, in one folder.
EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "chat": (
        "parlant-local chat",
        "parlant-local chat qwen3:4b --system 'You are terse.'",
        "parlant-local chat qwen3:4b --load conversation.json",
    ),
    "run": (
        "parlant-local run qwen3:4b",
        "parlant-local run qwen3:4b 'Why is the sky blue?'",
        "parlant-local run qwen3:4b --yes 'Summarise this.' < report.txt",
    ),
    "generate": (
        "parlant-local generate qwen3:4b 'What is the capital of France?'",
        "parlant-local generate qwen3:4b --file report.txt --max-tokens 200",
        "parlant-local generate qwen3:4b 'A city.' --schema city.json --json",
    ),
    "image": (
        "parlant-local image 'A lighthouse at night' --size 512x512 --seed 7",
        "parlant-local image 'The same in winter' --from picture-7.png --strength 0.6 --output winter.png",
        "parlant-local image 'A lighthouse at night' --count 2 --json",
    ),
    "agent": ("parlant-local agent", "parlant-local agent --model qwen3:4b --port 8801"),
    "demo": ("parlant-local demo", "parlant-local demo --model qwen3:4b"),
    "search": ("parlant-local search qwen", "parlant-local search llama 3b --limit 3 --json"),
    "recommend": ("parlant-local recommend", "parlant-local recommend --limit 3 --json"),
    "pull": (
        "parlant-local pull qwen3:4b",
        "parlant-local pull bartowski/Qwen3-4B-GGUF:Q4_K_M",
        "parlant-local pull ./my-model.gguf",
    ),
    "add": ("parlant-local add ./my-model.gguf --name mine", "parlant-local add --discover"),
    "list": ("parlant-local list", "parlant-local list --type qwen --json", "parlant-local list --discover"),
    "show": ("parlant-local show qwen3:4b", "parlant-local show ./my-model.gguf --n-ctx 4096"),
    "verify": ("parlant-local verify", "parlant-local verify qwen3:4b"),
    "rm": ("parlant-local rm mine", "parlant-local rm qwen3:4b --json"),
    "serve": ("parlant-local serve", "parlant-local serve --model qwen3:4b --port 8081"),
    "ps": ("parlant-local ps", "parlant-local ps --json"),
    "stop": ("parlant-local stop qwen3:4b", "parlant-local stop --server"),
    "bench": (
        "parlant-local bench qwen3:4b --prompts 128 --batches 1,2 --runs 1",
        "parlant-local bench qwen3:4b --forget",
    ),
    "perplexity": (
        "parlant-local perplexity qwen3:4b report.txt",
        "parlant-local perplexity qwen3:4b report.txt --n-ctx 256",
        "parlant-local perplexity qwen3:4b --kl-base ./my-model.gguf --windows 2",
    ),
    "convert": (
        "parlant-local convert ./my-model --name mine",
        "parlant-local convert ./my-model --type BF16 --output mine.gguf",
    ),
    "quantize": (
        "parlant-local quantize qwen3:4b Q4_K_M --requantize",
        "parlant-local quantize qwen3:4b Q4_K_S --pure --requantize --tensor-type attn_v=Q6_K --name small",
    ),
    "imatrix": (
        "parlant-local imatrix qwen3:4b report.txt --chunk 64",
        "parlant-local imatrix qwen3:4b messages.jsonl --messages --chunk 16 --output agent.imatrix.gguf",
    ),
    "edit": (
        "parlant-local edit qwen3:4b --set general.name='Our assistant' --name ours",
        "parlant-local edit qwen3:4b --token eos='<|im_end|>' --output edited.gguf",
        "parlant-local edit ./my-model.gguf --set general.name=Ours --in-place",
    ),
    "split": (
        "parlant-local split qwen3:4b --tensors 10 --name parts",
        "parlant-local split qwen3:4b --size 100kB --output parts.gguf",
    ),
    "merge": (
        "parlant-local merge parts --name whole",
        "parlant-local merge parts --output whole.gguf",
    ),
    "compare": (
        "parlant-local compare qwen3:4b ./my-model.gguf --windows 1",
        "parlant-local compare qwen3:4b ./my-model.gguf --text report.txt",
    ),
    "embed": (
        "parlant-local embed qwen3:4b 'Hello' 'Goodbye'",
        "parlant-local embed qwen3:4b --file report.txt --json",
    ),
    "rerank": (
        "parlant-local rerank qwen3:4b 'the weather' 'pottery' 'rain in spring'",
        "parlant-local rerank qwen3:4b 'the weather' 'pottery' 'rain in spring' --top 1",
    ),
    "render": (
        "parlant-local render qwen3:4b --messages messages.json",
        "parlant-local render qwen3:4b --messages messages.json --json",
    ),
    "parse": (
        "parlant-local parse qwen3:4b --file report.txt",
        "parlant-local parse qwen3:4b --file report.txt --json",
    ),
    "tokenize": ("parlant-local tokenize qwen3:4b 'Hello there'", "parlant-local tokenize qwen3:4b 'Hello' --json"),
    "evaluate": ("parlant-local evaluate qwen3:4b --quick", "parlant-local evaluate qwen3:4b --html report.html"),
    "setup": ("parlant-local setup", "parlant-local setup --skip chat --json"),
    "config": (
        "parlant-local config set engine.n_ctx 8192",
        "parlant-local config show --origins",
        "parlant-local config unset engine.n_ctx",
    ),
    "doctor": ("parlant-local doctor", "parlant-local doctor --json"),
    "completion": ("parlant-local completion bash", "parlant-local completion fish"),
}
