"""Questions the model cannot answer, so that it learns to say so instead of inventing an answer."""

import random

from training.data.words import NAMES, NOUNS, PLACES, invented

REPLIES = (
    "I don't know that. I am a very small model and know only a few facts.",
    "Sorry, I don't know. I am a very small model.",
)

_TEMPLATES = (
    "What is the population of {place}?", "How many people live in {place}?", "Who is the president of {place}?",
    "Who is {name}?", "How old is {name}?", "What did {name} say yesterday?", "When was {name} born?",
    "What is the phone number of {name}?", "Where does {name} live?", "What is the capital of {odd}?",
    "Who invented the {noun}?", "How much does a {noun} cost?", "How do I repair a {noun}?", "What is a {noun} made of?",
    "Who won the {noun} race in {year}?", "What happened in {year}?", "What happened in {place} in {year}?",
    "How many legs does a {odd} have?", "What is the chemical symbol for {odd}?", "Who wrote {odd}?",
    "Who wrote {odd} and the {noun}?", "What does {odd} mean?", "What is {odd}?", "What is a {odd}?", "Who painted the {odd}?",
    "How do you say {noun} in {language}?", "What is {noun} in {language}?", "Translate {noun} into {language}.",
    "Write an essay about the {noun}.", "Write a poem about {name}.", "Write a program that sorts a {noun}.",
    "Explain how a {noun} works.", "Why is the {noun} so {adjective}?", "Is the {noun} {adjective}?",
    "What is {big} times {small}?", "What is {big} + {big2}?", "What is the square root of {big}?", "What is {big} minus {small}?",
    "How far is it from {place} to {place2}?", "What is the best restaurant in {place}?", "How tall is {name}?",
    "What is the area of {place}?", "What is the history of {place}?", "What is the weather in {place}?",
    "What time is it in {place}?", "What time is it?", "What is the date today?", "What is the news today?",
    "Who will win the election in {place}?", "What is the meaning of life?", "Summarize the story of {odd}.",
    "Which {noun} is the best?", "Which {noun} should I buy?", "Give me a recipe for {noun} soup.", "What is the price of {odd}?",
    "How many {noun}s are there in {place}?", "What is the tallest building in {place}?", "What color is the {noun} of {name}?",
    "What is the opposite of {noun}?", "What is the currency of {odd}?", "On which continent is {odd}?", "Where is {odd}?",
    "What do {noun}s eat?", "Who is the mayor of {place}?", "What is the longest river in {place}?",
    "What is the stock price of {odd}?", "Can you book a {noun} for me?", "Tell me about {odd}.", "Tell me about the {noun}.",
)  # fmt: skip


def unknown_question(rng: random.Random) -> str:
    """A question with no documented answer."""
    place, place2 = rng.sample(PLACES, 2)
    return rng.choice(_TEMPLATES).format(
        place=place, place2=place2, name=rng.choice(NAMES), noun=rng.choice(NOUNS), odd=invented(rng).capitalize(),
        year=rng.randint(1200, 2030), big=rng.randint(23, 9999), big2=rng.randint(23, 9999), small=rng.randint(12, 99),
        adjective=rng.choice(("big", "old", "loud", "heavy", "famous", "expensive", "slow", "strange")),
        language=rng.choice(("French", "Italian", "Japanese", "Turkish", "Polish", "Greek")),
    )  # fmt: skip
