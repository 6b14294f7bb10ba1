"""Customer service: what customers of a small business ask, as conditions, actions and replies of an agent."""

import random
from dataclasses import dataclass

from training.data.words import NAMES, NOUNS, PLACES, identifier


@dataclass(frozen=True)
class Intent:
    """One reason to write to a business: how an agent's owner describes it, says it, and answers it."""

    topic: str
    condition: str
    action: str
    asked: tuple[str, ...]
    replies: tuple[str, ...]


INTENTS: tuple[Intent, ...] = (
    Intent("the status of an order", "the customer asks about the status of their order", "ask for the order number",
           ("Where is my order?", "What is the status of my order?", "Has my {noun} been shipped?", "When will my {noun} arrive?",
            "I am still waiting for my {noun}.", "Can you track order {id}?", "my order {id} has not arrived"),
           ("I can look into your order. Could you tell me the order number?",)),
    Intent("a refund", "the customer wants their money back", "explain how refunds work",
           ("I want my money back.", "Can I get a refund?", "How do refunds work?", "I would like a refund for the {noun}.",
            "Please refund order {id}.", "refund please"),
           ("I understand that you would like a refund. Let me check what we can do for you.",)),
    Intent("a return", "the customer wants to return an item", "explain the return policy",
           ("I want to return my {noun}.", "How can I send the {noun} back?", "What is your return policy?",
            "The {noun} does not fit, can I return it?", "Can I return something I bought?"),
           ("You can return the item to us. Would you like me to start the return?",)),
    Intent("a damaged item", "the customer received a broken item", "apologize and offer a replacement",
           ("My {noun} is broken.", "The {noun} arrived damaged.", "The {noun} I received does not work.", "It is broken."),
           ("I am sorry that your item is damaged. We can send you a new one.",)),
    Intent("the opening hours", "the customer asks about opening hours", "tell them when we are open",
           ("When are you open?", "What are your opening hours?", "Are you open on Sunday?", "What time do you close?",
            "When does the store in {place} open?"),
           ("Let me check our opening hours for you.",)),
    Intent("the price", "the customer asks about a price", "tell the customer the price",
           ("How much is the {noun}?", "What does the {noun} cost?", "Is the {noun} expensive?", "Do you have a price list?",
            "Tell me the price of a {noun}."),
           ("Let me find the price for you.",)),
    Intent("a discount", "the customer asks for a discount", "say which discounts there are",
           ("Do you have any discounts?", "Can I get it cheaper?", "Is there a sale?", "Do you have a coupon?"),
           ("I will check which discounts we have right now.",)),
    Intent("an appointment", "the customer wants to make an appointment", "ask which day suits them",
           ("I would like to make an appointment.", "Can I book an appointment for tomorrow?", "I need to see a doctor.",
            "Can I come on Monday?", "Book me an appointment please."),
           ("I can help you make an appointment. Which day would you like?",)),
    Intent("a changed appointment", "the customer wants to change an appointment", "ask for the new time",
           ("I need to change my appointment.", "Can we move the meeting to another day?", "Please reschedule my visit."),
           ("Of course, we can move your appointment. Which time would be better?",)),
    Intent("a cancellation", "the customer wants to cancel something", "confirm before cancelling",
           ("I want to cancel my order.", "Please cancel my {noun}.", "How do I cancel?", "Cancel my subscription.",
            "I would like to cancel the booking {id}."),
           ("I can help you cancel it. Are you sure that you want to cancel?",)),
    Intent("a flight", "the customer wants to book a flight", "ask where and when they want to fly",
           ("I want to book a flight to {place}.", "I need a ticket to {place}.", "Do you have flights to {place}?",
            "I want to fly from {place} to {place2}."),
           ("I can help you book a flight. When would you like to travel?",)),
    Intent("a hotel", "the customer is looking for a hotel", "ask for the dates",
           ("I need a hotel in {place}.", "Can you book a room for me?", "Do you have a room for two nights?"),
           ("I can help you find a room. For which dates do you need it?",)),
    Intent("a table", "the customer wants to reserve a table", "ask how many people will come",
           ("I would like to reserve a table.", "Do you have a table for tonight?", "A table for four please."),
           ("I would be happy to reserve a table. How many people will come?",)),
    Intent("food", "the customer wants to order food", "ask what they would like to eat",
           ("I am hungry.", "I want to order a pizza.", "What is on the menu?", "Do you have vegetarian food?", "Can I get a burger?"),
           ("I can take your order. What would you like to eat?",)),
    Intent("a password", "the customer forgot their password", "explain how to reset the password",
           ("I forgot my password.", "I cannot log in.", "How do I reset my password?", "My account is locked."),
           ("I can help you reset your password. Please tell me the name of your account.",)),
    Intent("an account", "the customer wants to open an account", "explain how to open an account",
           ("I want to open an account.", "How do I sign up?", "Can I create a new account?"),
           ("I can help you open an account. What is your name?",)),
    Intent("the account balance", "the customer asks about their balance", "tell them their balance",
           ("What is my balance?", "How much money do I have?", "Show me my account balance."),
           ("Let me check your balance.",)),
    Intent("a transfer", "the customer wants to send money", "ask for the amount and the recipient",
           ("I want to send money to {name}.", "Transfer {number} dollars to {name}.", "How do I transfer money?"),
           ("I can help you with the transfer. How much would you like to send?",)),
    Intent("a lost card", "the customer lost their card", "offer to block the card",
           ("I lost my card.", "My credit card was stolen.", "Please block my card."),
           ("I am sorry to hear that. I will help you block your card right away.",)),
    Intent("a bill", "the customer has a question about a bill", "explain the bill",
           ("Why is my bill so high?", "I was charged twice.", "I have a question about my invoice {id}.", "I paid too much."),
           ("Let me look at your bill.",)),
    Intent("the delivery", "the customer asks about delivery", "explain delivery times",
           ("How long does delivery take?", "Do you deliver to {place}?", "How much is shipping?", "Can you ship it today?"),
           ("Let me check the delivery options for you.",)),
    Intent("an address", "the customer wants to change their address", "ask for the new address",
           ("I moved to {place}.", "I want to change my address.", "Can you update my address?"),
           ("I can update your address. What is the new one?",)),
    Intent("a person", "the customer wants to talk to a person", "hand the conversation over",
           ("I want to talk to a human.", "Can I speak to a person?", "Get me a manager.", "Let me talk to someone."),
           ("I understand. I will ask a colleague to talk to you.",)),
    Intent("a complaint", "the customer is unhappy", "apologize and ask what happened",
           ("I am very unhappy with your service.", "This is unacceptable.", "I want to complain.", "Your service is bad."),
           ("I am sorry about that. Could you tell me what happened?",)),
    Intent("a recommendation", "the customer asks for a recommendation", "recommend a product",
           ("What do you recommend?", "Which {noun} is the best?", "I am looking for a {noun}.", "I need a new {noun}.",
            "Can you suggest a {noun}?", "I want to buy a {noun}."),
           ("I would be happy to help you choose. What is most important to you?",)),
    Intent("stock", "the customer asks whether an item is available", "check whether it is in stock",
           ("Do you have a {noun}?", "Is the {noun} in stock?", "Is the {noun} available?", "Are there any {noun}s left?"),
           ("Let me check whether we have it.",)),
    Intent("a warranty", "the customer asks about the warranty", "explain the warranty",
           ("Is there a warranty on the {noun}?", "How long is the warranty?", "Does the {noun} have a guarantee?"),
           ("Let me check the warranty for you.",)),
    Intent("a technical problem", "the customer has a technical problem", "ask what exactly happens",
           ("My {noun} does not turn on.", "The app does not work.", "I see an error.", "My internet is slow.", "It crashed again."),
           ("I am sorry that it does not work. What exactly happens?",)),
    Intent("a doctor", "the patient feels ill", "ask about the symptoms",
           ("I have a headache.", "I have a fever.", "My back hurts.", "I do not feel well."),
           ("I am sorry that you are not well. How long have you felt like this?",)),
    Intent("lab results", "the patient asks about lab results", "look up the results",
           ("Are my lab results ready?", "I want to see my test results.", "Did my results arrive?"),
           ("Let me look for your results.",)),
    Intent("payment", "the customer asks how to pay", "list the ways to pay",
           ("How can I pay?", "Do you take credit cards?", "Can I pay in cash?", "Can I pay later?"),
           ("Let me tell you how you can pay.",)),
    Intent("a gift", "the customer is looking for a gift", "ask whom the gift is for",
           ("I need a gift for {name}.", "I am looking for a present.", "What is a good gift?"),
           ("What a nice idea! Who is the gift for?",)),
    Intent("the newsletter", "the customer asks about the newsletter", "offer to sign them up",
           ("Do you have a newsletter?", "Stop sending me emails.", "I want to unsubscribe."),
           ("I can change that for you. What is your email address?",)),
    Intent("a job", "the customer asks about jobs", "send them to the careers page",
           ("Are you hiring?", "I am looking for a job.", "Can I work for you?"),
           ("Thank you for your interest. Let me see whether we have open positions.",)),
    Intent("privacy", "the customer asks about their data", "explain how data is protected",
           ("What do you do with my data?", "Is my data safe?", "Please delete my data."),
           ("Your data is important to us. What would you like to know?",)),
    Intent("the weather", "the customer asks about the weather", "look up the weather",
           ("What is the weather in {place}?", "Will it rain in {place}?", "Is it cold in {place}?", "How is the weather today?"),
           ("Let me check the weather for you.",)),
)  # fmt: skip

FALLBACK_REPLY = "I am sorry, I do not have that information. Is there something else I can help with?"


def said(rng: random.Random, intent: Intent) -> str:
    """One way a customer says it, blanks filled."""
    place, place2 = rng.sample(PLACES, 2)
    return rng.choice(intent.asked).format(
        noun=rng.choice(NOUNS),
        id=identifier(rng),
        place=place,
        place2=place2,
        name=rng.choice(NAMES),
        number=rng.randint(5, 900),
    )
