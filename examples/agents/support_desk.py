"""A support desk: orders, refunds that a person approves, a billing specialist, a way to a human being, and a policy.

Start it: trunkline up --agent support_desk.py, and decide what waits with: trunkline approvals list|approve|deny. Its
data is a SQLite file in the run directory, so that any number of tool runners agree. It runs with the `local` model,
which picks tools by the words of their descriptions, and with a language model.
"""

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from trunkline.agents import (
    Agent,
    Approval,
    CallContext,
    Check,
    Duration,
    Fillers,
    Hooks,
    Silence,
    ToolContext,
    Verdict,
    block,
    drop_tools,
    end_call,
    guardrail,
    hand_off,
    handoff,
    tool,
    transfer_call,
)
from trunkline.agents.policies import pii, topics

OrderNumber = Annotated[str, msgspec.Meta(pattern=r"^\d{4}$", description="The four digits of the order number.")]
BUSY_S = 5.0  # how long a runner waits for another one's write
FREE_HAND_EUROS = 50  # refunds of more need a person


class Order(NamedTuple):
    item: str
    euros: int
    status: str


ORDERS = {
    "1234": Order("a travel guide", 18, "is being packed and leaves our warehouse tonight"),
    "2580": Order("a reading lamp", 120, "was delivered last Friday"),
    "4711": Order("a pair of headphones", 89, "was delivered on Tuesday"),
    "4712": Order("a phone case", 25, "was shipped yesterday and arrives tomorrow"),
}

# data


def database_path() -> Path:
    """In the run directory of `trunkline up`, else in one that all of this user's processes share."""
    directory = os.environ.get("TRUNKLINE_DIR")
    if directory:
        return Path(directory) / "support_desk.sqlite"
    return Path(tempfile.gettempdir()) / f"support_desk-{os.getuid()}.sqlite"


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Alone with the data, which nobody sees half changed."""
    path = database_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        database.execute("CREATE TABLE IF NOT EXISTS refunds (number TEXT PRIMARY KEY, euros INTEGER, key TEXT)")
        database.execute("CREATE TABLE IF NOT EXISTS invoices (key TEXT PRIMARY KEY, number TEXT, email TEXT)")
        database.execute("CREATE TABLE IF NOT EXISTS calls (call TEXT PRIMARY KEY, ended TEXT, summary TEXT)")
        yield database
        database.execute("COMMIT")
    finally:
        database.close()  # without COMMIT this rolls back


def spoken(number: str) -> str:
    """Digits one by one, as a person says them."""
    return " ".join(number)


# orders


@tool(commentary="One moment, I am looking up your order.", timeout_s=5.0, read_only=True)
def order_status(order_number: OrderNumber, context: ToolContext) -> str:
    """Where is my order: status and delivery of an order."""
    order = ORDERS.get(order_number)
    if order is None:
        return f"Order {spoken(order_number)} is not in our books."
    context.state["order"] = order_number
    with transaction() as database:
        row = database.execute("SELECT euros FROM refunds WHERE number = ?", (order_number,)).fetchone()
    if row is None:
        return f"Order {spoken(order_number)}, {order.item}, {order.status}."
    note_refund(context, order_number)
    return f"Order {spoken(order_number)}, {order.item}, is refunded: {row[0]} euros."


def is_large(call: CallContext, arguments: Mapping[str, Any]) -> bool:
    """What isn't in the books is a person's business, too."""
    order = ORDERS.get(str(arguments.get("order_number")))
    return order is None or order.euros > FREE_HAND_EUROS


@tool(
    commentary="Let me see to your refund.",
    timeout_s=5.0,
    retry=True,
    approval=Approval(
        when=is_large,
        timeout_s=90.0,
        commentary="A colleague has to agree to a refund of that size. Please stay on the line.",
        reminder="I am still waiting for my colleague. Thank you for your patience.",
        again_s=20.0,
        denied="My colleague did not agree to the refund, so nothing was paid.",
    ),
)
def refund_order(order_number: OrderNumber, context: ToolContext) -> str:
    """Refund an order: the caller wants the money back, since it is broken, late or not wanted any more."""
    order = ORDERS.get(order_number)
    if order is None:
        return f"Order {spoken(order_number)} is not in our books."
    with transaction() as database:  # run again for the same wish, this finds its own row
        values = (order_number, order.euros, context.idempotency_key)
        database.execute("INSERT OR IGNORE INTO refunds VALUES (?, ?, ?)", values)
        (key,) = database.execute("SELECT key FROM refunds WHERE number = ?", (order_number,)).fetchone()
    note_refund(context, order_number)
    if key != context.idempotency_key:
        return f"Order {spoken(order_number)} was refunded before."
    return f"Order {spoken(order_number)} is refunded: {order.euros} euros are on their way to you."


def note_refund(context: ToolContext, order_number: str) -> None:
    """From now on the caller may be told of it."""
    context.state["refunded"] = sorted({*refunded_in(context.state), order_number})


def refunded_in(state: Mapping[str, object]) -> list[str]:
    refunded = state.get("refunded")
    return [str(number) for number in refunded] if isinstance(refunded, list) else []


# bills


@tool(commentary="Let me open that bill.", timeout_s=5.0, read_only=True)
def explain_bill(order_number: OrderNumber) -> str:
    """What was charged: the bill or invoice of an order."""
    order = ORDERS.get(order_number)
    if order is None:
        return f"There is no bill for order {spoken(order_number)}."
    return f"The bill of order {spoken(order_number)} is {order.euros} euros, for {order.item}."


@tool(commentary="I am sending it.", timeout_s=5.0, retry=True)
def send_invoice(order_number: OrderNumber, email: str, context: ToolContext) -> str:
    """Send a copy of an invoice to an e-mail address.

    Args:
        email: Where to; the caller's words, or the token that stands for them.
    """
    with transaction() as database:
        values = (context.idempotency_key, order_number, email)
        database.execute("INSERT OR IGNORE INTO invoices VALUES (?, ?, ?)", values)
    return f"The invoice of order {spoken(order_number)} is on its way by e-mail."


# policy

PROMISE = re.compile(r"\brefunded\b|\bmoney back\b|\bpaid (you )?back\b|\beuros (are|is) on (their|its) way\b", re.I)
LEGAL = re.compile(r"\b(lawyers?|lawsuits?|sue|court|attorneys?)\b", re.I)


@guardrail(on="input")
def legal_matters(check: Check) -> Verdict | None:
    """Whoever speaks of lawyers talks to a person."""
    if check.call.agent != "human_desk" and LEGAL.search(check.text):
        return hand_off("human_desk", reason="a legal matter")
    return None


@guardrail(on="output")
def no_promise_before_it_is_done(check: Check) -> Verdict | None:
    """Nobody is told of a refund that no tool has seen."""
    if refunded_in(check.call.state) or not PROMISE.search(check.before + check.text):
        return None
    return block("I can only tell you of a refund once it is done.", reason="a refund that wasn't made")


small_talk = topics(
    {"politics": ["election", "prime minister", "government", "politics"], "religion": ["religion", "church", "god"]},
    reply="I would rather talk about your order. How can I help you with it?",
)
POLICY = (pii(), legal_matters, small_talk, no_promise_before_it_is_done)


# what is written down of each call


def write_summary(call: CallContext, reason: str) -> None:
    order, refunded = call.state.get("order", "none"), refunded_in(call.state)
    summary = f"{call.turn} turns, last with {call.agent}; order {order}; refunded {len(refunded)}; {reason}"
    with transaction() as database:
        values = (call.call_id, datetime.now(UTC).isoformat(timespec="seconds"), summary)
        database.execute("INSERT OR REPLACE INTO calls VALUES (?, ?, ?)", values)


HOOKS = Hooks(on_end=write_summary)  # of whoever has the call at its end

# agents

STYLE = (
    "Be brief and friendly: one or two short sentences that sound well when spoken. Say in a few words what you are "
    "about to do before you use a tool. Never guess an order number. Never say that something is done before the tool "
    "says so; if nobody can tell whether it was done, say that."
)
COMMON: Mapping[str, Any] = {
    "guardrails": POLICY,
    "hooks": HOOKS,
    "fillers": Fillers(("One moment, please.", "I am still here."), after_s=2.0),
    "silence": Silence(after_s=12.0, prompts=("Are you still there?", "Can you hear me?")),
    "duration": Duration(15 * 60.0),
}

support = Agent(
    "support",
    instructions=f"You answer the phone of a web shop, for orders and refunds. {STYLE}",
    greeting="Hello, this is the support desk. How can I help you?",
    tools=[order_status, refund_order, end_call()],
    handoffs=[handoff("billing", filter=drop_tools), "human_desk"],
    **COMMON,
)

billing = Agent(
    "billing",
    instructions=f"You are the billing specialist of a web shop: bills, invoices, what was charged. {STYLE}",
    description="Questions about a bill or an invoice: what was charged, or a copy of it.",
    voice="sage",
    tools=[explain_bill, send_invoice, end_call()],
    handoffs=["support", "human_desk"],
    **COMMON,
)

human_desk = Agent(
    "human_desk",
    instructions=(
        "You find out what the caller wants from a human being, in a question or two, and then connect the call, with "
        f"a summary in one sentence for the person who takes it. {STYLE}"
    ),
    description="A human being: the caller wants to talk to a person, or is angry, or has a complaint.",
    tools=[
        transfer_call(
            {"orders": "queue:orders", "bills": "queue:bills", "complaints": "queue:complaints"},
            description="Connect the caller to a human being, a person, for orders, bills or complaints.",
        ),
        end_call(),
    ],
    handoffs=["support"],
    **COMMON,
)
