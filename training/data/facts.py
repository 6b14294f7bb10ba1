"""What the model knows: families of facts, each with the ways to ask for them.

A family is one kind of question with one blank. Every row of a family is a documented question; the first wording is
the documented one, and the wordings in `unseen` are kept out of training to measure whether paraphrases generalise.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Facts that share their wording: `{x}` is asked for, `{a}` is the answer."""

    name: str
    sentence: str
    asked: tuple[str, ...]
    unseen: tuple[str, ...]
    rows: dict[str, str]
    topic: str = "general knowledge"
    number: bool = False


@dataclass(frozen=True)
class Fact:
    """One fact: what to ask, what to answer in a sentence, and the bare answer."""

    family: str
    question: str
    paraphrases: tuple[str, ...]
    unseen: tuple[str, ...]
    sentence: str
    answer: str
    topic: str
    number: bool = False
    about: str = ""


def _table(text: str) -> dict[str, str]:
    """Reads `key=value` pairs separated by semicolons: tables stay readable as prose."""
    pairs = (entry.split("=", 1) for entry in text.replace("\n", " ").split(";") if entry.strip())
    return {key.strip(): value.strip() for key, value in pairs}


_CAPITALS = _table("""
France=Paris; Germany=Berlin; Italy=Rome; Spain=Madrid; Portugal=Lisbon; Poland=Warsaw; Austria=Vienna; Greece=Athens;
Sweden=Stockholm; Norway=Oslo; Denmark=Copenhagen; Finland=Helsinki; Iceland=Reykjavik; Ireland=Dublin; Belgium=Brussels;
the Netherlands=Amsterdam; Switzerland=Bern; Hungary=Budapest; Romania=Bucharest; Bulgaria=Sofia; Croatia=Zagreb;
Serbia=Belgrade; Ukraine=Kyiv; Russia=Moscow; Turkey=Ankara; Egypt=Cairo; Morocco=Rabat; Kenya=Nairobi; Ghana=Accra;
Nigeria=Abuja; Senegal=Dakar; Ethiopia=Addis Ababa; Japan=Tokyo; China=Beijing; India=New Delhi; South Korea=Seoul;
Thailand=Bangkok; Vietnam=Hanoi; Indonesia=Jakarta; the Philippines=Manila; Nepal=Kathmandu; Mongolia=Ulaanbaatar;
Iran=Tehran; Iraq=Baghdad; Lebanon=Beirut; Jordan=Amman; Canada=Ottawa; the United States=Washington, D.C.;
Mexico=Mexico City; Cuba=Havana; Brazil=Brasilia; Argentina=Buenos Aires; Chile=Santiago; Peru=Lima; Colombia=Bogota;
Uruguay=Montevideo; Australia=Canberra; New Zealand=Wellington; Estonia=Tallinn; Latvia=Riga; Lithuania=Vilnius;
the United Kingdom=London
""")

_LANGUAGES = _table("""
Brazil=Portuguese; Mexico=Spanish; Argentina=Spanish; Austria=German; Egypt=Arabic; Japan=Japanese; Poland=Polish;
Iran=Persian; Australia=English; France=French; Italy=Italian; Russia=Russian; Greece=Greek; Hungary=Hungarian;
Sweden=Swedish
""")

_CURRENCIES = _table("""
Japan=yen; the United Kingdom=pound; the United States=dollar; India=rupee; China=yuan; Russia=ruble; Mexico=peso;
Switzerland=franc; Germany=euro; France=euro; Poland=zloty; South Korea=won; Thailand=baht; Sweden=krona; Israel=shekel
""")

_CONTINENTS = _table("""
Kenya=Africa; Egypt=Africa; Nigeria=Africa; Japan=Asia; India=Asia; Thailand=Asia; France=Europe; Norway=Europe;
Poland=Europe; Brazil=South America; Chile=South America; Peru=South America; Canada=North America; Mexico=North America
""")

_SYMBOLS = _table("""
gold=Au; silver=Ag; iron=Fe; oxygen=O; hydrogen=H; carbon=C; nitrogen=N; sodium=Na; potassium=K; helium=He; copper=Cu;
lead=Pb; calcium=Ca; tin=Sn
""")

_OPPOSITES = _table("""
hot=cold; big=small; up=down; day=night; fast=slow; happy=sad; light=dark; open=closed; early=late; young=old; left=right;
full=empty; easy=difficult; rich=poor; wet=dry; loud=quiet
""")

_YOUNG = _table("""
cat=kitten; dog=puppy; cow=calf; horse=foal; sheep=lamb; pig=piglet; bear=cub; hen=chick; duck=duckling; goat=kid;
frog=tadpole; kangaroo=joey
""")

_AUTHORS = _table("""
Romeo and Juliet=William Shakespeare; Hamlet=William Shakespeare; Don Quixote=Miguel de Cervantes;
War and Peace=Leo Tolstoy; Pride and Prejudice=Jane Austen; Oliver Twist=Charles Dickens; Faust=Johann Wolfgang von Goethe;
The Odyssey=Homer; Moby Dick=Herman Melville; Frankenstein=Mary Shelley; The Divine Comedy=Dante Alighieri;
Crime and Punishment=Fyodor Dostoevsky; Les Miserables=Victor Hugo; Dracula=Bram Stoker
""")

_SPANISH = _table("""
hello=hola; goodbye=adios; thank you=gracias; yes=si; water=agua; bread=pan; house=casa; friend=amigo; red=rojo; cat=gato;
book=libro; sun=sol
""")

_LEGS = _table("spider=8; dog=4; bird=2; ant=6; horse=4; crab=10")
_SIDES = _table("triangle=3; square=4; pentagon=5; hexagon=6; octagon=8; rectangle=4")
_COUNTS = _table("""
days are there in a week=7; months are there in a year=12; hours are there in a day=24; minutes are there in an hour=60;
seconds are there in a minute=60; days are there in a leap year=366; days are there in a normal year=365;
continents are there=7; planets are there in the solar system=8; letters are there in the English alphabet=26;
years are there in a century=100; years are there in a decade=10; grams are there in a kilogram=1000;
meters are there in a kilometer=1000; centimeters are there in a meter=100; players are there in a football team=11;
strings does a violin have=4; colors are there in a rainbow=7; teeth does an adult human have=32
""")

_SINGLE: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    # topic, documented question, sentence, bare answer, other wordings
    ("geography", "What is the tallest mountain in the world?", "The tallest mountain in the world is Mount Everest.",
     "Mount Everest", ("Which mountain is the highest on Earth?", "What's the highest mountain?", "tallest mountain on earth")),
    ("geography", "What is the longest river in Africa?", "The longest river in Africa is the Nile.", "the Nile",
     ("Which river is the longest in Africa?", "Name the longest African river.", "longest river in africa")),
    ("geography", "What is the largest ocean?", "The largest ocean is the Pacific Ocean.", "the Pacific Ocean",
     ("Which ocean is the biggest?", "What's the biggest ocean on Earth?", "biggest ocean in the world")),
    ("geography", "What is the largest country in the world?", "The largest country in the world is Russia.", "Russia",
     ("Which country is the biggest?", "What's the biggest country on Earth?", "largest country by area")),
    ("geography", "What is the largest desert in Africa?", "The largest desert in Africa is the Sahara.", "the Sahara",
     ("Which desert is the biggest in Africa?", "Name Africa's largest desert.", "biggest african desert")),
    ("geography", "In which city is the Eiffel Tower?", "The Eiffel Tower is in Paris.", "Paris",
     ("Where is the Eiffel Tower?", "Which city has the Eiffel Tower?", "where can I find the eiffel tower")),
    ("geography", "In which city is the Colosseum?", "The Colosseum is in Rome.", "Rome",
     ("Where is the Colosseum?", "Which city has the Colosseum?", "where can I find the colosseum")),
    ("geography", "In which country are the pyramids of Giza?", "The pyramids of Giza are in Egypt.", "Egypt",
     ("Where are the pyramids of Giza?", "Which country has the pyramids of Giza?", "where are the great pyramids")),
    ("geography", "In which country is the Great Wall?", "The Great Wall is in China.", "China",
     ("Where is the Great Wall?", "Which country built the Great Wall?", "where can I see the great wall")),
    ("geography", "Which river flows through London?", "The river Thames flows through London.", "the Thames",
     ("What river runs through London?", "Name the river in London.", "river in london")),
    ("astronomy", "What is the largest planet in the solar system?", "The largest planet in the solar system is Jupiter.",
     "Jupiter", ("Which planet is the biggest?", "What's the biggest planet?", "largest planet")),
    ("astronomy", "What is the smallest planet in the solar system?", "The smallest planet in the solar system is Mercury.",
     "Mercury", ("Which planet is the smallest?", "What's the smallest planet?", "smallest planet")),
    ("astronomy", "Which planet is known as the red planet?", "Mars is known as the red planet.", "Mars",
     ("What is the red planet?", "Which planet is red?", "name of the red planet")),
    ("astronomy", "Which planet is closest to the Sun?", "Mercury is the planet closest to the Sun.", "Mercury",
     ("What planet is nearest to the Sun?", "Name the planet closest to the Sun.", "closest planet to the sun")),
    ("astronomy", "Which planet is famous for its rings?", "Saturn is famous for its rings.", "Saturn",
     ("What planet has the big rings?", "Name the planet with rings.", "planet with rings")),
    ("astronomy", "What does the Earth orbit?", "The Earth orbits the Sun.", "the Sun",
     ("What does our planet go around?", "Around which star does the Earth turn?", "what does earth go around")),
    ("astronomy", "What orbits the Earth?", "The Moon orbits the Earth.", "the Moon",
     ("What goes around the Earth?", "What is the Earth's natural satellite?", "earth's satellite")),
    ("astronomy", "Who was the first person on the Moon?", "The first person on the Moon was Neil Armstrong.", "Neil Armstrong",
     ("Who walked on the Moon first?", "Name the first man on the Moon.", "first person on the moon")),
    ("science", "At what temperature does water boil?", "Water boils at 100 degrees Celsius.", "100 degrees Celsius",
     ("What is the boiling point of water?", "When does water boil?", "boiling point of water")),
    ("science", "At what temperature does water freeze?", "Water freezes at 0 degrees Celsius.", "0 degrees Celsius",
     ("What is the freezing point of water?", "When does water freeze?", "freezing point of water")),
    ("science", "What is the chemical formula of water?", "The chemical formula of water is H2O.", "H2O",
     ("What is the formula for water?", "Give me the formula of water.", "formula of water")),
    ("science", "What gas do plants take in?", "Plants take in carbon dioxide.", "carbon dioxide",
     ("Which gas do plants absorb?", "What do plants breathe in?", "gas absorbed by plants")),
    ("science", "What gas do people need to breathe?", "People need oxygen to breathe.", "oxygen",
     ("Which gas do humans breathe?", "What do we need in the air to breathe?", "gas needed for breathing")),
    ("science", "Who discovered penicillin?", "Penicillin was discovered by Alexander Fleming.", "Alexander Fleming",
     ("Who found penicillin?", "Name the discoverer of penicillin.", "penicillin was discovered by whom")),
    ("science", "Who developed the theory of relativity?", "The theory of relativity was developed by Albert Einstein.",
     "Albert Einstein", ("Whose theory is relativity?", "Who came up with relativity?", "theory of relativity by whom")),
    ("science", "Who invented the telephone?", "The telephone was invented by Alexander Graham Bell.", "Alexander Graham Bell",
     ("Who made the first telephone?", "Name the inventor of the telephone.", "inventor of the telephone")),
    ("science", "Which organ pumps blood?", "The heart pumps blood.", "the heart",
     ("What organ moves blood through the body?", "What pumps our blood?", "organ that pumps blood")),
    ("art", "Who painted the Mona Lisa?", "The Mona Lisa was painted by Leonardo da Vinci.", "Leonardo da Vinci",
     ("Who is the painter of the Mona Lisa?", "Whose painting is the Mona Lisa?", "painter of the mona lisa")),
    ("art", "Who painted the Starry Night?", "The Starry Night was painted by Vincent van Gogh.", "Vincent van Gogh",
     ("Who is the painter of the Starry Night?", "Whose painting is the Starry Night?", "painter of the starry night")),
    ("art", "Who composed the Moonlight Sonata?", "The Moonlight Sonata was composed by Ludwig van Beethoven.",
     "Ludwig van Beethoven", ("Who wrote the Moonlight Sonata?", "Name the composer of the Moonlight Sonata.",
                              "composer of the moonlight sonata")),
    ("animals", "What is the fastest land animal?", "The fastest land animal is the cheetah.", "the cheetah",
     ("Which animal runs the fastest?", "What animal is fastest on land?", "fastest animal")),
    ("animals", "What is the largest animal in the world?", "The largest animal in the world is the blue whale.",
     "the blue whale", ("Which animal is the biggest?", "What's the biggest animal on Earth?", "biggest animal")),
    ("animals", "What is the tallest animal?", "The tallest animal is the giraffe.", "the giraffe",
     ("Which animal is the tallest?", "What animal has the longest neck?", "tallest animal")),
    ("animals", "What do bees make?", "Bees make honey.", "honey",
     ("What do bees produce?", "What food comes from bees?", "what is made by bees")),
    ("animals", "What do pandas eat?", "Pandas eat bamboo.", "bamboo",
     ("What is the food of pandas?", "Which plant do pandas like to eat?", "food of a panda")),
    ("colors", "What color is the sky on a clear day?", "The sky is blue on a clear day.", "blue",
     ("Which color does a clear sky have?", "What's the color of the sky?", "color of the sky")),
    ("colors", "What color is grass?", "Grass is green.", "green",
     ("Which color does grass have?", "What's the color of grass?", "color of grass")),
    ("colors", "What color is snow?", "Snow is white.", "white",
     ("Which color does snow have?", "What's the color of snow?", "color of snow")),
    ("colors", "What color is a ripe banana?", "A ripe banana is yellow.", "yellow",
     ("Which color does a banana have?", "What's the color of a banana?", "color of a banana")),
    ("colors", "What color do blue and yellow make?", "Blue and yellow make green.", "green",
     ("What do you get if you mix blue and yellow?", "Mixing blue and yellow gives which color?", "blue plus yellow color")),
    ("colors", "What color do red and white make?", "Red and white make pink.", "pink",
     ("What do you get if you mix red and white?", "Mixing red and white gives which color?", "red plus white color")),
    ("calendar", "Which month comes after March?", "April comes after March.", "April",
     ("What month follows March?", "Name the month after March.", "month after march")),
    ("calendar", "Which day comes after Monday?", "Tuesday comes after Monday.", "Tuesday",
     ("What day follows Monday?", "Name the day after Monday.", "day after monday")),
    ("calendar", "Which day comes before Sunday?", "Saturday comes before Sunday.", "Saturday",
     ("What day is right before Sunday?", "Name the day before Sunday.", "day before sunday")),
    ("calendar", "What is the first month of the year?", "The first month of the year is January.", "January",
     ("Which month starts the year?", "Name the first month.", "first month")),
    ("calendar", "What is the last month of the year?", "The last month of the year is December.", "December",
     ("Which month ends the year?", "Name the last month.", "last month of a year")),
    ("calendar", "Which season comes after winter?", "Spring comes after winter.", "spring",
     ("What season follows winter?", "Name the season after winter.", "season after winter")),
)  # fmt: skip

_UNSEEN_FRAMES = ("Could you tell me this: {q}", "I would like to know something. {q}")

FAMILIES: tuple[Family, ...] = (
    Family(
        "capital", "The capital of {x} is {a}.",
        ("What is the capital of {x}?", "What's the capital of {x}?", "Which city is the capital of {x}?",
         "Name the capital of {x}.", "Tell me the capital of {x}.", "capital of {x}", "Do you know the capital of {x}?",
         "What city is the capital of {x}?", "Can you tell me what the capital of {x} is?", "I need the capital of {x}.",
         "The capital of {x} is what?", "Please tell me the capital city of {x}.", "What is the capital city of {x}?",
         "Which city is the seat of government of {x}?", "What would be the capital of {x}?"),
        ("Could you say which city is the capital of {x}?", "Give me the capital city of {x}, please."),
        _CAPITALS, "geography",
    ),
    Family(
        "country", "{x} is the capital of {a}.",
        ("{x} is the capital of which country?", "Which country has the capital {x}?", "{x} is the capital of what country?",
         "What country is {x} the capital of?", "Of which country is {x} the capital?", "Which country's capital is {x}?"),
        ("Name the country whose capital is {x}.",),
        {capital: country for country, capital in _CAPITALS.items()}, "geography",
    ),
    Family(
        "language", "In {x} people speak {a}.",
        ("What language is spoken in {x}?", "Which language do people speak in {x}?", "What do people speak in {x}?",
         "What is the main language of {x}?", "Which language is used in {x}?", "language of {x}",
         "Tell me the language of {x}.", "What's the official language in {x}?"),
        ("Do you know which language they speak in {x}?",), _LANGUAGES, "geography",
    ),
    Family(
        "currency", "The currency of {x} is the {a}.",
        ("What is the currency of {x}?", "What's the currency of {x}?", "Which currency is used in {x}?",
         "What money do people use in {x}?", "currency of {x}", "With what currency do you pay in {x}?",
         "Name the currency of {x}.", "Tell me the currency of {x}."),
        ("Do you know the currency they use in {x}?",), _CURRENCIES, "money",
    ),
    Family(
        "continent", "{x} is in {a}.",
        ("On which continent is {x}?", "Which continent is {x} on?", "What continent is {x} in?", "continent of {x}",
         "To which continent does {x} belong?", "On what continent do I find {x}?", "Tell me the continent of {x}."),
        ("Do you know on which continent {x} lies?",), _CONTINENTS, "geography",
    ),
    Family(
        "symbol", "The chemical symbol for {x} is {a}.",
        ("What is the chemical symbol for {x}?", "What's the symbol of {x}?", "Which chemical symbol does {x} have?",
         "chemical symbol of {x}", "How is {x} written in chemistry?", "Name the chemical symbol for {x}.",
         "Tell me the symbol of the element {x}."),
        ("Do you know the chemical symbol of {x}?",), _SYMBOLS, "science",
    ),
    Family(
        "opposite", "The opposite of {x} is {a}.",
        ("What is the opposite of {x}?", "What's the opposite of {x}?", "Which word is the opposite of {x}?",
         "opposite of {x}", "Name the opposite of {x}.", "Tell me the opposite of {x}.", "What word means the opposite of {x}?"),
        ("Do you know the opposite of the word {x}?",), _OPPOSITES, "language",
    ),
    Family(
        "young", "A young {x} is called a {a}.",
        ("What is a young {x} called?", "What do you call a baby {x}?", "What's a baby {x} called?",
         "How is a young {x} called?", "What is the name for a young {x}?", "name of a baby {x}", "A baby {x} is called what?"),
        ("Do you know what a young {x} is called?",), _YOUNG, "animals",
    ),
    Family(
        "author", "{x} was written by {a}.",
        ("Who wrote {x}?", "Who is the author of {x}?", "Which author wrote {x}?", "author of {x}", "By whom was {x} written?",
         "Name the author of {x}.", "Tell me who wrote {x}.", "Who's the writer of {x}?"),
        ("Do you know who wrote the book {x}?",), _AUTHORS, "literature",
    ),
    Family(
        "spanish", "The Spanish word for {x} is {a}.",
        ("How do you say {x} in Spanish?", "What is {x} in Spanish?", "What's the Spanish word for {x}?",
         "Translate {x} into Spanish.", "{x} in Spanish", "Which Spanish word means {x}?", "Tell me the Spanish for {x}."),
        ("Do you know how to say {x} in Spanish?",), _SPANISH, "language",
    ),
    Family(
        "legs", "A {x} has {a} legs.",
        ("How many legs does a {x} have?", "How many legs has a {x}?", "What number of legs does a {x} have?",
         "Tell me how many legs a {x} has.", "number of legs of a {x}", "A {x} has how many legs?"),
        ("Do you know how many legs a {x} has?",), _LEGS, "animals", number=True,
    ),
    Family(
        "sides", "A {x} has {a} sides.",
        ("How many sides does a {x} have?", "How many sides has a {x}?", "What number of sides does a {x} have?",
         "Tell me how many sides a {x} has.", "number of sides of a {x}", "A {x} has how many sides?"),
        ("Do you know how many sides a {x} has?",), _SIDES, "mathematics", number=True,
    ),
)  # fmt: skip


def _counts() -> list[Fact]:
    facts = []
    for asked, number in _COUNTS.items():
        thing, _, rest = asked.partition(" are there")
        if rest or " are there" in asked:
            where = rest.strip()
            sentence = f"There are {number} {thing}{' ' + where if where else ''}."
        else:
            thing, _, owner = asked.partition(" does ")
            owner = owner.removesuffix(" have")
            sentence = f"{owner[0].upper()}{owner[1:]} has {number} {thing}."
        facts.append(
            Fact(
                "count", f"How many {asked}?",
                (f"Tell me how many {asked}.", f"how many {asked}", f"Do you know how many {asked}?",
                 f"What number of {asked}?", f"I forgot how many {asked}."),
                (f"Can you tell me how many {asked}?",), sentence, number, "numbers", number=True,
                about=f"the number of {thing}",
            )
        )  # fmt: skip
    return facts


def _sums() -> list[Fact]:
    facts = []
    for a in range(1, 10):
        for b in range(1, 10):
            facts.append(
                Fact(
                    "sum", f"What is {a} + {b}?",
                    (f"{a}+{b}", f"{a} + {b} = ?", f"How much is {a} plus {b}?", f"What is {a} plus {b}?", f"Add {a} and {b}.",
                     f"What's {a} + {b}?", f"Calculate {a} + {b}.", f"What is the sum of {a} and {b}?"),
                    (f"Please compute {a} + {b}.",), f"{a} + {b} is {a + b}.", str(a + b), "mathematics", number=True,
                    about=f"the sum of {a} and {b}",
                )
            )  # fmt: skip
    return facts


def all_facts() -> list[Fact]:
    """Every documented fact, in a stable order."""
    facts = []
    for family in FAMILIES:
        for x, a in family.rows.items():
            sentence = family.sentence.format(x=x, a=a)
            facts.append(
                Fact(
                    family.name,
                    _upper(family.asked[0].format(x=x)),
                    tuple(_upper(w.format(x=x)) if w[0] in "{" else w.format(x=x) for w in family.asked[1:]),
                    tuple(w.format(x=x) for w in family.unseen),
                    _upper(sentence), a, family.topic, family.number, about=f"the {family.name} of {x}",
                )
            )  # fmt: skip
    for topic, question, sentence, answer, others in _SINGLE:
        unseen = tuple(frame.format(q=question) for frame in _UNSEEN_FRAMES[:1])
        facts.append(Fact("single", question, others, unseen, sentence, answer, topic, about=topic))
    return facts + _counts() + _sums()


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
