"""What customers come with: conditions of guidelines, and messages that meet them.

Most of it is made from words that both have in common, many of them invented, so that what is learnt is to compare; the
rest are the same wishes in other words.
"""

import random
from dataclasses import dataclass

from training.data.actions import a_thing, several


@dataclass(frozen=True)
class Topic:
    """A condition, what it is about in one word, and messages that meet it."""

    when: str
    about: str
    asked: tuple[str, ...]


_ABOUT = ("asks about", "asks about", "asks for", "has a question about", "wants to know about", "mentions", "inquires about",
          "brings up", "is asking about", "is interested in", "wants information on", "needs help with")  # fmt: skip
_ABOUT_ASKED = (
    "What about {x}?", "Tell me about {x}.", "I have a question about {x}.", "Do you have {x}?", "Can you help me with {x}?",
    "What can you tell me about {x}?", "Is there anything I should know about {x}?", "I'm interested in {x}.", "I am looking for {x}.",
    "Could you tell me more about {x}, please?", "Hi, what's the deal with {x}?", "I need {x}.", "Hello! Do you offer {x}?",
    "How does it work with {x}?", "can i get {x}", "My friend told me about {x}. Is that right?", "Any information on {x}?",
    "What are the rules for {x}?", "I'd like to ask about {x}.", "Sorry, one question: {x}?", "Are there {x} here?",
)  # fmt: skip
_WISHES = (
    ("return {x}", "return"), ("cancel {x}", "cancel"), ("change {x}", "change"), ("buy {x}", "buy"), ("rent {x}", "rent"), ("book {x}", "book"),
    ("repair {x}", "repair"), ("sell {x}", "sell"), ("exchange {x}", "exchange"), ("extend {x}", "extend"), ("pay for {x}", "pay"),
    ("borrow {x}", "borrow"), ("order {x}", "order"), ("try {x}", "try"), ("upgrade {x}", "upgrade"), ("pick up {x}", "pick up"),
    ("share {x}", "share"), ("renew {x}", "renew"), ("reserve {x}", "reserve"), ("clean {x}", "clean"), ("move {x}", "move"), ("test {x}", "test"),
    ("see {x}", "see"), ("visit {x}", "visit"), ("send {x}", "send"), ("print {x}", "print"), ("bring {x}", "bring"), ("wash {x}", "wash"), ("store {x}", "store"),
    ("open {x}", "open"), ("charge {x}", "charge"), ("install {x}", "install"), ("replace {x}", "replace"), ("split {x}", "split"), ("remove {x}", "remove"),
    ("add {x}", "add"), ("compare {x}", "compare"), ("download {x}", "download"), ("watch {x}", "watch"), ("learn {x}", "learn"), ("fix {x}", "fix"), ("take {x}", "take"),
)  # fmt: skip
_WISH = ("wants to", "wants to", "would like to", "asks how to", "asks to", "asks whether they can", "is trying to", "asks if they can", "wishes to", "needs to")  # fmt: skip
_WISH_ASKED = ("I want to {x}.", "Can I {x}?", "How do I {x}?", "I'd like to {x}.", "Is it possible to {x}?", "Please help me {x}.", "I need to {x}.",
               "How can I {x}?", "Hi, I would like to {x}, please.", "could you {x} for me?", "Am I allowed to {x}?", "I am trying to {x}.",
               "What do I have to do to {x}?", "When can I {x}?")  # fmt: skip
_SAYS = ("says that", "says that", "mentions that", "complains that", "reports that", "tells you that", "says")
_CLAIMS = (
    ("the {x} is broken", ("My {x} is broken.", "The {x} broke yesterday.", "The {x} I got is broken!", "Hello, my {x} is broken, what now?")),
    ("the {x} arrived damaged", ("The {x} arrived damaged.", "My {x} came with a dent.", "The {x} was damaged when it came.")),
    ("the {x} is late", ("My {x} is late.", "The {x} is still not here.", "I have been waiting for the {x} for a week.", "The {x} is so late!")),
    ("they lost their {x}", ("I lost my {x}.", "I can't find my {x} anymore.", "My {x} is gone, I think I lost it.")),
    ("the {x} is too expensive", ("The {x} is too expensive.", "That's a lot of money for a {x}.", "The {x} costs too much for me.")),
    ("they are allergic to {x}", ("I am allergic to {x}.", "I have an allergy to {x}.", "Careful, I'm allergic to {x}.")),
    ("they got the wrong {x}", ("I got the wrong {x}.", "This is not the {x} that I ordered.", "You sent me the wrong {x}.")),
    ("the {x} does not work", ("The {x} does not work.", "My {x} doesn't work.", "the {x} stopped working", "The {x} won't turn on.")),
    ("they are new to {x}", ("I am new to {x}.", "I have never tried {x} before.", "This is my first time with {x}.")),
    ("they like {x}", ("I like {x}.", "I love {x}!", "{x} is my favourite.")),
    ("the {x} is for a child", ("The {x} is for a child.", "It's a {x} for my daughter, she is six.", "The {x} is for my little son.")),
    ("the {x} is a gift", ("The {x} is a gift.", "I want the {x} as a present for my mother.", "It's a gift, the {x}.")),
)  # fmt: skip

_STATES = ("has {x}", "has {x}", "reports {x}", "needs {x}", "wants {x}", "complains about {x}", "is worried about {x}", "talks about {x}", "mentions {x}",
           "is unhappy about {x}", "has trouble with {x}", "asks if there is {x}", "says something about {x}", "discovers {x}", "suffers from {x}")  # fmt: skip
_STATED = ("I have {x}.", "There is {x}!", "I've got {x}, what now?", "Help, I have {x}!", "It's about {x}.", "We have {x} here.", "I think I have {x}.", "What can I do about {x}?",
           "I need {x}.", "Oh no, {x}!", "My problem is {x}.", "is there {x}?", "Again {x}...", "I'm calling because of {x}.")  # fmt: skip
_KINDS = (
    "a broken",
    "a lost",
    "a new",
    "a loud",
    "a cheap",
    "a second",
    "a missing",
    "a dirty",
    "an old",
    "a wet",
    "a wrong",
    "a leaking",
    "a free",
    "a sick",
    "a very small",
    "a large",
)
_TAILS = ("", "", "", " What now?", " Is that okay?", " Please hurry.", " I'm in a hurry.", " It's for my mother.", " We are a group of five.", " I come from far away.", " Thanks!", " That would be great.",
          " Sorry to bother you.", " I hope you can help.", " My friend wants to know, too.")  # fmt: skip

_SAME: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = (
    (("asks about opening hours", "asks when the shop is open", "asks when you are open", "wants to know the opening times", "asks whether the shop is open", "asks about closing times"), "opening hours",
     ("When are you open?", "What are your opening hours?", "How late are you open today?", "Until when are you open?", "When do you close?", "Are you open now?", "What time do you open?", "Are you open on holidays?", "are you still open")),
    (("asks about prices", "asks what it costs", "asks how much something costs", "wants to know the price"), "prices",
     ("How much is it?", "What does it cost?", "What is the price?", "How much do you charge?", "Is it expensive?", "How much do I have to pay?", "what's the price please")),
    (("wants a refund", "asks for their money back", "asks about refunds", "demands a refund"), "refunds",
     ("I want my money back.", "Can I get a refund?", "How do refunds work?", "Please refund me.", "I'd like a refund.", "Give me my money back!", "refund please")),
    (("asks for a discount", "asks about discounts", "wants a lower price", "asks for a coupon"), "discounts",
     ("Is there a discount?", "Can you make it cheaper?", "Do you have a coupon?", "Is there a special offer?", "Can I get it for less?", "Do students pay less?", "Any discount for me?")),
    (("asks where the shop is", "asks for the address", "asks how to get there", "asks for directions", "wants to know the location"), "address",
     ("Where are you?", "What is your address?", "How do I get to you?", "Where can I find you?", "Where is your shop?", "Which bus goes to your place?", "How do I get there?")),
    (("wants to speak to a person", "asks for a human", "asks to talk to an agent", "wants to talk to a manager", "asks for a real person"), "people",
     ("I want to talk to a person.", "Can I speak to a human?", "Get me a real person.", "Let me speak with your manager.", "Is there a human I can talk to?", "Connect me to an agent, please.")),
    (("is angry", "complains", "is unhappy with the service", "is frustrated", "expresses frustration", "wants to make a complaint"), "complaints",
     ("This is ridiculous!", "I am really angry about this.", "Your service is terrible.", "I want to complain.", "I'm very unhappy with you.", "This is the worst shop ever.", "I am so disappointed.")),
    (("asks about delivery", "asks how long delivery takes", "asks when it arrives", "asks about shipping", "asks about delivery times"), "delivery",
     ("How long does delivery take?", "When will it arrive?", "How fast do you ship?", "Do you deliver?", "What does shipping cost?", "How long until it gets here?")),
    (("asks how to pay", "asks about payment", "asks which cards you accept", "asks about payment methods"), "payment",
     ("How can I pay?", "Can I pay by card?", "Do you take credit cards?", "Which payment methods do you have?", "Is cash okay?", "Do you accept PayPal?")),
    (("asks about parking", "comes by car", "asks where to park"), "parking",
     ("Where can I park?", "Is there parking?", "I'm coming by car, where do I leave it?", "Do you have a parking lot?", "Is parking free?")),
    (("asks about dogs", "asks about pets", "wants to bring a pet", "asks whether animals are allowed"), "pets",
     ("Can I bring my dog?", "Are pets allowed?", "Is my puppy welcome?", "I have a cat, is that a problem?", "Do you allow animals?")),
    (("asks about the wifi", "asks for the wifi password", "asks about internet access"), "wifi",
     ("Is there wifi?", "What's the wifi password?", "How do I get online here?", "Do you have internet?")),
    (("forgot their password", "cannot log in", "has trouble logging in", "asks to reset their password"), "passwords",
     ("I forgot my password.", "I can't log in.", "My login does not work.", "How do I reset my password?", "I am locked out of my account.")),
    (("asks about vegetarian food", "is vegan", "asks for food without meat", "says they do not eat meat"), "vegetarian food",
     ("Do you have anything vegetarian?", "I'm vegan, what can I eat?", "I don't eat meat.", "Is there something without meat?")),
    (("asks about allergies", "has an allergy", "asks about nuts", "asks what is in the food"), "allergies",
     ("I'm allergic to nuts.", "Does it contain nuts?", "I have an allergy, is this safe?", "Is there gluten in it?", "What is in it?")),
    (("asks about children", "comes with children", "asks about family offers", "asks whether kids may come"), "children",
     ("Can I bring my kids?", "Is it good for children?", "We have two small children.", "Do kids pay?", "Is there something for my son?")),
    (("says goodbye", "wants to end the conversation", "is leaving"), "goodbye",
     ("Bye!", "Goodbye.", "See you.", "That's all, bye.", "Have a nice day!", "I have to go now, bye.")),
    (("thanks you", "says thank you", "expresses gratitude", "is grateful"), "thanks",
     ("Thanks!", "Thank you very much.", "Thank you, that helped.", "Great, thanks a lot.", "You were very helpful, thank you.")),
    (("asks about jobs", "wants to work here", "is looking for a job", "asks about open positions"), "jobs",
     ("Are you hiring?", "Do you have any jobs?", "I would like to work for you.", "Can I apply for a job?")),
    (("asks for a recommendation", "does not know what to choose", "wants advice on what to take", "asks what you recommend"), "recommendations",
     ("What do you recommend?", "I don't know what to take.", "Which one is the best?", "What would you choose?", "Any suggestions?", "Can you recommend something?")),
    (("wants to book a table", "wants to make a reservation", "asks for a table", "wants to reserve a table"), "reservations",
     ("I'd like to book a table.", "Do you have a table for two?", "Can I reserve for tonight?", "A table for four, please.", "I want to make a reservation.")),
    (("wants an appointment", "asks for an appointment", "wants to schedule a visit", "asks for a free slot"), "appointments",
     ("I need an appointment.", "When can I come in?", "Do you have a free slot?", "Can I make an appointment?", "I'd like to schedule a visit.")),
    (("asks about the warranty", "asks about the guarantee", "asks how long the guarantee lasts"), "the warranty",
     ("Is there a warranty?", "How long is the guarantee?", "Is it still under warranty?", "What does the warranty cover?")),
    (("asks for an invoice", "needs a receipt", "asks about a bill", "has a question about their bill"), "invoices",
     ("Can I have an invoice?", "I need a receipt.", "My bill is wrong.", "Why is my bill so high?", "Please send me the invoice.")),
    (("asks who you are", "asks whether you are a bot", "asks if you are human"), "who you are",
     ("Who are you?", "Are you a robot?", "Are you a real person?", "Am I talking to a machine?", "What are you?")),
    (("asks about the weather", "asks whether it will rain", "asks for the forecast"), "the weather",
     ("What is the weather like?", "Will it rain tomorrow?", "Is it sunny there?", "How's the weather?", "Do I need an umbrella?")),
    (("talks about a competitor", "compares you with another shop", "mentions a competitor"), "competitors",
     ("The other shop is cheaper.", "Your competitor has it for less.", "At the other store I got it faster.")),
    (("asks about your privacy policy", "asks what happens to their data", "asks about their data"), "privacy",
     ("What do you do with my data?", "Is my data safe?", "Do you have a privacy policy?", "Please delete my data.")),
    (("asks for medical advice", "feels ill", "describes symptoms", "asks about a symptom"), "symptoms",
     ("I have a headache.", "My stomach hurts, what should I do?", "I feel sick.", "Is this rash dangerous?", "I have a fever.")),
    (("has an emergency", "is in danger", "reports an emergency"), "emergencies",
     ("Help, it's an emergency!", "There is a fire!", "Somebody is hurt!", "I can't breathe!")),
    (("asks about availability", "asks whether it is in stock", "asks if something is available"), "availability",
     ("Is it in stock?", "Do you still have it?", "Is this available?", "When is it back in stock?")),
    (("wants to cancel", "asks how to cancel", "wants to end their contract", "asks to cancel"), "cancelling",
     ("I want to cancel.", "How do I cancel?", "Please cancel it.", "I don't want it anymore.", "End my contract, please.")),
    (("asks about a job", "wants to know who the owner is", "asks about the owner"), "the owner",
     ("Who owns this place?", "Who is the owner?", "Who is your boss?")),
    (("praises the service", "is happy", "gives a compliment", "says something nice"), "praise",
     ("You are great!", "I love your shop.", "This is wonderful.", "Best service ever!", "I'm so happy with it.")),
)  # fmt: skip

MEANINGS = {rest: about for rests, about, _ in _SAME for rest in sorted(rests, key=len, reverse=True)}
"""What conditions mean that share no word with the messages which meet them."""

GREETING = (
    ("greets you", "says hello", "greets you or asks what you can do", "starts the conversation", "greets the agent", "says hi", "opens the conversation with a greeting"),
    ("Hello!", "Hi", "Hi there!", "Good morning.", "Hello, what can you do for me?", "Hey, what can you do?", "hello", "Good evening!", "What can you do for me?", "Hi! Can you help me?", "Hello! What can you do?"),
)  # fmt: skip
SMALL_TALK = (
    ("Thanks!", "You are welcome!"), ("Thank you very much.", "You are welcome!"), ("Okay.", "How else can I help you?"), ("Hello!", "Hello! How can I help you?"),
    ("Hi there", "Hello! How can I help you?"), ("Good morning!", "Hello! How can I help you?"), ("Bye!", "Goodbye!"), ("I see.", "How else can I help you?"),
    ("Great.", "How else can I help you?"), ("Goodbye.", "Goodbye!"), ("Ok, thank you", "You are welcome!"),
)  # fmt: skip
UNKNOWN_REPLY = "I am sorry, I cannot help you with that."


def condition(rng: random.Random, rest: str) -> str:
    who = rng.choice(("the customer", "the customer", "the customer", "The customer", "the user", "The user", "the client", "the guest", "the caller", "Customer", "User", "someone"))  # fmt: skip
    text = f"{who} {rest}"
    return f"when {text}" if rng.random() < 0.05 else text


def mine(text: str) -> str:
    """In the customer's own words."""
    return text.replace("their ", "my ").replace("they ", "I ")


def about_topic(rng: random.Random, thing: str) -> Topic:
    named = rng.choice((several(thing), several(thing), f"the {thing}", f"a {thing}"))
    whose = f"their {thing}" if rng.random() < 0.15 else named
    forms = rng.sample(_ABOUT_ASKED, 3)
    said = mine(whose) if rng.random() < 0.7 else rng.choice((f"the {thing}", several(thing)))
    return Topic(condition(rng, f"{rng.choice(_ABOUT)} {whose}"), thing, tuple(form.format(x=said) for form in forms))


def wish_topic(rng: random.Random, thing: str) -> Topic:
    wish, _ = rng.choice(_WISHES)
    named = rng.choice((f"a {thing}", f"their {thing}", f"the {thing}", several(thing)))
    forms = rng.sample(_WISH_ASKED, 3)
    said = wish.format(x=mine(named))
    return Topic(
        condition(rng, f"{rng.choice(_WISH)} {wish.format(x=named)}"),
        thing,
        tuple(form.format(x=said) for form in forms),
    )


def claim_topic(rng: random.Random, thing: str) -> Topic:
    claim, asked = rng.choice(_CLAIMS)
    many = claim.endswith(("to {x}", "like {x}"))
    named = several(thing) if many else thing
    said = tuple(text.format(x=named) for text in asked)
    return Topic(
        condition(rng, f"{rng.choice(_SAYS)} {claim.format(x=named)}"),
        thing,
        tuple(text[0].upper() + text[1:] for text in said),
    )


def state_topic(rng: random.Random, thing: str) -> Topic:
    named = f"{rng.choice(_KINDS)} {thing}"
    asked = tuple(text.format(x=named) for text in rng.sample(_STATED, 4))
    return Topic(condition(rng, rng.choice(_STATES).format(x=named)), thing, asked)


def with_tail(rng: random.Random, text: str) -> str:
    """Some people say more than they have to."""
    return text + rng.choice(_TAILS) if text.endswith((".", "?", "!")) and rng.random() < 0.4 else text


def same_topic(rng: random.Random) -> Topic:
    rests, about, asked = rng.choice(_SAME)
    return Topic(condition(rng, rng.choice(rests)), about, asked)


def greeting_topic(rng: random.Random) -> Topic:
    return Topic(condition(rng, rng.choice(GREETING[0])), "greeting", GREETING[1])


def a_topic(rng: random.Random, thing: str | None = None) -> Topic:
    """`thing`: what it is about; several wishes for one thing are told apart by what is to be done with it."""
    draw = rng.random()
    if thing is not None:
        return (wish_topic if draw < 0.6 else claim_topic)(rng, thing)
    if draw > 0.62:
        topic = same_topic(rng)
    else:
        topic = (
            about_topic if draw < 0.22 else wish_topic if draw < 0.4 else claim_topic if draw < 0.5 else state_topic
        )(rng, a_thing(rng))
    if rng.random() < 0.08:
        other = a_thing(rng)
        return Topic(
            f"{topic.when} or asks about {several(other)}", topic.about, (*topic.asked, f"What about {several(other)}?")
        )
    return topic
