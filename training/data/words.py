"""Words to fill blanks with. Invented ones teach the model to copy what it has never seen."""

import random
import string

PLACES = (
    "Paris", "Berlin", "Rome", "Madrid", "Lisbon", "Warsaw", "Vienna", "Athens", "Stockholm", "Oslo", "Helsinki", "Dublin",
    "London", "New York", "Chicago", "Boston", "Seattle", "Toronto", "Montreal", "Tokyo", "Osaka", "Kyoto", "Seoul", "Beijing",
    "Shanghai", "Mumbai", "Delhi", "Bangkok", "Hanoi", "Jakarta", "Sydney", "Melbourne", "Auckland", "Cairo", "Lagos", "Nairobi",
    "Cape Town", "Casablanca", "Lima", "Bogota", "Santiago", "Rio de Janeiro", "Buenos Aires", "Mexico City", "Havana",
    "San Francisco", "Los Angeles", "Miami", "Denver", "Dallas", "Munich", "Hamburg", "Cologne", "Milan", "Naples", "Turin",
    "Venice", "Barcelona", "Seville", "Porto", "Krakow", "Prague", "Budapest", "Zurich", "Geneva", "Brussels", "Amsterdam",
    "Rotterdam", "Lyon", "Marseille", "Nice", "Bordeaux", "Manchester", "Liverpool", "Edinburgh", "Glasgow", "Kyiv", "Istanbul",
    "Ankara", "Dubai", "Singapore", "Manila", "Taipei", "Lahore", "Dhaka", "Colombo", "Kigali", "Dakar", "Accra", "Tunis",
)  # fmt: skip
NAMES = (
    "Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Hugo", "Ines", "Jack", "Karin", "Liam", "Maria", "Noah", "Olga",
    "Pedro", "Rosa", "Sam", "Tina", "Umar", "Vera", "Walter", "Yuki", "Zoe", "Amir", "Beth", "Chen", "Dora", "Ethan", "Fatima",
    "Guest", "John Smith", "Maya Lopez", "Peter Brown", "Lena Fischer", "Omar Haddad", "Julia Rossi", "Tom Baker", "Mr. Wong",
)  # fmt: skip
NOUNS = (
    "table", "chair", "lamp", "bicycle", "window", "door", "phone", "camera", "garden", "river", "bridge", "train", "car", "ship",
    "engine", "pencil", "mirror", "carpet", "jacket", "shoe", "hat", "bottle", "clock", "ticket", "island", "castle", "guitar",
    "piano", "computer", "printer", "kitchen", "blanket", "basket", "candle", "hammer", "ladder", "rocket", "tunnel", "tower",
    "market", "forest", "tomato", "potato", "cheese", "pepper", "cookie", "sandwich", "umbrella", "wallet", "suitcase",
)  # fmt: skip
_ONSETS = ("b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pr", "qu", "r", "s",
           "sh", "st", "t", "tr", "v", "w", "x", "z", "")  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "oo", "y")
_CODAS = ("", "", "n", "r", "s", "t", "l", "m", "nd", "rk", "x", "ck")


def invented(rng: random.Random, syllables: int | None = None) -> str:
    """A pronounceable word that is most likely in no dictionary."""
    count = syllables or rng.choice((2, 2, 3))
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(count))


def identifier(rng: random.Random) -> str:
    """An id as software writes them: digits, letters, or both."""
    kind = rng.random()
    if kind < 0.35:
        return str(rng.randint(1, 10 ** rng.randint(1, 6)))
    if kind < 0.6:
        return "".join(rng.choices(string.ascii_letters + string.digits + "_-", k=rng.choice((6, 8, 10))))
    if kind < 0.8:
        return f"{rng.choice(('A', 'B', 'ORD-', 'INV-', 'T', 'X-', 'G'))}{rng.randint(1, 99999)}"
    return f"{invented(rng)}_{rng.randint(1, 99)}"


def snake(rng: random.Random) -> str:
    """A field or function name."""
    words = [rng.choice(NOUNS) if rng.random() < 0.5 else invented(rng) for _ in range(rng.choice((1, 2, 2, 3)))]
    return "_".join(words)
