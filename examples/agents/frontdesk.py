"""A front desk that answers for the weather, orders and opening hours. Start it: trunkline up --agent frontdesk.py

Its data is a SQLite file in the run directory, so that any number of tool runners agree. Tools answer with whole
sentences that can be spoken as they are.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from trunkline.agents import Agent, ToolContext, tool

OrderNumber = Annotated[str, msgspec.Meta(pattern=r"^\d{4}$", description="The four digits of the order number.")]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

BUSY_S = 5.0  # how long a runner waits for another one's write
WEATHER = {
    "amsterdam": "14 degrees and windy",
    "berlin": "16 degrees and cloudy",
    "cairo": "33 degrees and clear",
    "chicago": "9 degrees and windy",
    "london": "13 degrees and drizzle",
    "madrid": "26 degrees and sunny",
    "new york": "17 degrees and partly cloudy",
    "oslo": "6 degrees and snow showers",
    "paris": "19 degrees and sunny",
    "rome": "24 degrees and sunny",
    "sydney": "22 degrees and clear",
    "tokyo": "18 degrees and light rain",
}
ORDERS = [  # number, where it is, whether it can still be cancelled
    ("1234", "is being packed and leaves our warehouse tonight", True),
    ("2580", "was delivered last Friday", False),
    ("3071", "is waiting for its payment", True),
    ("4711", "arrives this afternoon", True),
    ("4712", "was shipped yesterday and arrives tomorrow", True),
    ("9006", "was returned, and the money is on its way to you", False),
]
CANCELLED = "is cancelled"


def database_path() -> Path:
    """In the run directory of `trunkline up`, else in one that all of this user's processes share."""
    directory = os.environ.get("TRUNKLINE_DIR")
    if directory:
        return Path(directory) / "frontdesk.sqlite"
    return Path(tempfile.gettempdir()) / f"frontdesk-{os.getuid()}.sqlite"


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Alone with the data: whoever comes first fills the file, and nobody sees it half full."""
    path = database_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'orders'").fetchone() is None:
            fill(database)
        yield database
        database.execute("COMMIT")
    finally:
        database.close()  # without COMMIT this rolls back


def fill(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE orders (number TEXT PRIMARY KEY, status TEXT, cancellable INTEGER)")
    database.execute("CREATE TABLE cancellations (key TEXT PRIMARY KEY, number TEXT, answer TEXT)")
    database.executemany("INSERT INTO orders VALUES (?, ?, ?)", ORDERS)


def spoken(number: str) -> str:
    """Digits one by one, as a person says them."""
    return " ".join(number)


@tool(commentary="One moment, let me check the weather in {city}.", read_only=True)
async def get_weather(city: str) -> str:
    """Weather forecast for a city: temperature, rain or sun.

    Args:
        city: The city.
    """
    report = WEATHER.get(city.strip(" .,!?").casefold())
    if report is None:
        return f"I have no weather report for {city}."
    return f"The weather in {city.strip(' .,!?').title()} is {report}."


@tool(commentary="One moment, I am looking up your order.", timeout_s=5.0, read_only=True)
def lookup_order(order_number: OrderNumber) -> str:
    """Where is my order: status and delivery of an order."""
    with transaction() as database:
        row = database.execute("SELECT status FROM orders WHERE number = ?", (order_number,)).fetchone()
    return f"Order {spoken(order_number)} {row[0] if row else 'is not in our books'}."


@tool(commentary="One moment, I am cancelling that order.", timeout_s=5.0)
def cancel_order(order_number: OrderNumber, context: ToolContext) -> str:
    """Cancel an order that the caller does not want any more."""
    with transaction() as database:
        done = "SELECT answer FROM cancellations WHERE key = ?"
        if row := database.execute(done, (context.idempotency_key,)).fetchone():
            return str(row[0])
        answer = cancel(database, order_number)
        database.execute("INSERT INTO cancellations VALUES (?, ?, ?)", (context.idempotency_key, order_number, answer))
    return answer


def cancel(database: sqlite3.Connection, number: str) -> str:
    """Within the caller's transaction; gives what is said to the caller."""
    row = database.execute("SELECT status, cancellable FROM orders WHERE number = ?", (number,)).fetchone()
    if row is None:
        return f"Order {spoken(number)} is not in our books."
    status, cancellable = row
    if status == CANCELLED:
        return f"Order {spoken(number)} {CANCELLED} already."
    if not cancellable:
        return f"Order {spoken(number)} {status}, so it can't be cancelled any more."
    database.execute("UPDATE orders SET status = ?, cancellable = 0 WHERE number = ?", (CANCELLED, number))
    return f"Order {spoken(number)} {CANCELLED}, and you will have your money back within five days."


@tool(commentary="Let me look at our opening hours.", read_only=True)
async def opening_hours(day: Day) -> str:
    """Opening hours: when we are open and when we close.

    Args:
        day: The day of the week.
    """
    match day:
        case "sunday":
            return "We are closed on Sunday."
        case "saturday":
            return "On Saturday we are open from ten in the morning until four in the afternoon."
        case _:
            return f"On {day.title()} we are open from nine in the morning until six in the evening."


frontdesk = Agent(
    "frontdesk",
    instructions=(
        "You answer the phone of a small web shop. Be brief and friendly: one or two short sentences that sound well "
        "when spoken. Say in a few words what you are about to do before you use a tool. Never guess an order number."
    ),
    tools=[get_weather, lookup_order, cancel_order, opening_hours],
    greeting="Hello, this is the front desk. How can I help you?",
)
