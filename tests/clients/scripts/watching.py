"""What the server's engine does, told by the server itself; nothing but the standard library."""

import json
import time
import urllib.request


class Engine:
    def __init__(self, url: str, key: str, model: str) -> None:
        self._request = urllib.request.Request(f"{url}/api/status", headers={"authorization": f"Bearer {key}"})
        self._model = model

    def figures(self) -> dict:
        with urllib.request.urlopen(self._request, timeout=10) as answer:
            return json.load(answer)["models"][self._model]["engine"]

    def cancelled(self) -> int:
        return self.figures()["cancelled"]

    def becomes_busy(self) -> bool:
        return self._becomes(lambda figures: figures["running"] > 0)

    def becomes_idle(self) -> bool:
        return self._becomes(lambda figures: not figures["running"] and not figures["waiting"])

    def _becomes(self, wanted) -> bool:
        for _ in range(400):
            if wanted(self.figures()):
                return True
            time.sleep(0.025)
        return False


def several_tries(once):
    """What ``once`` found when it was quick enough: the model is small, and may be done before anybody gives it up."""
    for _ in range(5):
        found = once()
        if found["cancelled"] or not found["idle"]:
            break
    return found
