"""The agent that the demonstration creates: guidelines, two tools and a glossary of a small book shop."""

# No postponed annotations here: Parlant reads the types of tool parameters from the functions.
import parlant.sdk as p

__all__ = ["AGENT_ID", "QUESTIONS", "create_shop_agent"]

AGENT_ID = "paige"

QUESTIONS = (
    "Hello! What can you do for me?",
    "What is the status of order 4711?",
    "Thank you. When are you open on Saturday?",
)
"""The messages of the demonstration's customer."""

_ORDERS = {"4711": "shipped on Monday", "1234": "being packed", "5508": "waiting for the publisher"}
_HOURS = {"saturday": "10 to 16", "sunday": "closed"}


@p.tool
async def get_order_status(context: p.ToolContext, order_id: str) -> p.ToolResult:  # noqa: ARG001  # Parlant passes it
    """Where an order is.

    Args:
        order_id: The number of the order.
    """
    return p.ToolResult({"order_id": order_id, "status": _ORDERS.get(order_id, "not found")})


@p.tool
async def get_opening_hours(context: p.ToolContext, day: str) -> p.ToolResult:  # noqa: ARG001  # Parlant passes it
    """When the shop is open.

    Args:
        day: The day of the week.
    """
    return p.ToolResult({"day": day, "hours": _HOURS.get(day.strip().lower(), "9 to 18")})


async def create_shop_agent(server: p.Server) -> None:
    agent = await server.create_agent(
        id=AGENT_ID,
        name="Paige",
        description="You help the customers of a small book shop. You are friendly and brief.",
    )
    await agent.create_term(name="Page Club", description="The shop's reading circle; it meets on the first Monday.")
    await agent.create_term(name="Parcel day", description="Tuesday, when ordered books leave the shop.")
    await agent.create_guideline(
        condition="the customer greets you or asks what you can do",
        action="greet them and offer help with orders and opening hours",
    )
    await agent.create_guideline(
        condition="the customer asks about an order",
        action="tell them the status of the order",
        tools=[get_order_status],
    )
    await agent.create_guideline(
        condition="the customer asks when the shop is open",
        action="tell them the opening hours of that day",
        tools=[get_opening_hours],
    )
