"""The agent of workload T."""

# No postponed annotations here: Parlant reads the types of tool parameters from the functions.
import parlant.sdk as p

__all__ = ["create_agent"]


async def create_agent(server: p.Server) -> None:
    """Ten guidelines, three tools, one journey, four terms."""

    @p.tool
    async def find_book(context: p.ToolContext, title: str) -> p.ToolResult:
        """Whether a book is in stock."""
        return p.ToolResult({"title": title, "in_stock": True})

    @p.tool
    async def order_status(context: p.ToolContext, order_id: str) -> p.ToolResult:
        """Where an order is."""
        return p.ToolResult({"order_id": order_id, "status": "on its way"})

    @p.tool
    async def change_address(context: p.ToolContext, order_id: str, address: str) -> p.ToolResult:
        """Change the address of an order that has not been sent."""
        return p.ToolResult({"changed": True})

    agent = await server.create_agent(id="bench", name="Paige", description="You help the customers of a book shop.")
    for name, description in (
        ("Page Club", "The shop's reading circle."),
        ("Parcel day", "Tuesday, when ordered books leave the shop."),
        ("Gift wrap", "Paper in three colours, free of charge."),
        ("Shelf mark", "Where a book stands in the shop."),
    ):
        await agent.create_term(name=name, description=description)
    tools = {1: [find_book], 2: [order_status], 3: [change_address]}
    for number, (condition, action) in enumerate(_GUIDELINES):
        await agent.create_guideline(condition=condition, action=action, tools=tools.get(number, []))
    await agent.create_journey(
        title="Order a book",
        description="Find out which book it is, then whether it is a gift, then where it shall go.",
        conditions=["the customer wants to order a book"],
    )


_GUIDELINES = (
    ("the customer greets you", "greet them and offer help"),
    ("the customer asks for a book", "look it up and tell them whether it is in stock"),
    ("the customer asks about an order", "tell them where it is"),
    ("the customer wants another address", "change it and confirm the new one"),
    ("the customer asks for a recommendation", "ask what they liked last"),
    ("the customer is angry", "apologise and offer to call them back"),
    ("the customer mentions a gift", "offer gift wrap"),
    ("the customer asks about opening hours", "tell them that the shop opens at nine"),
    ("the customer says goodbye", "thank them and mention the Page Club"),
    ("the customer asks for a discount", "explain that book prices are fixed"),
)
