"""HL7 v2 ORU^R01 messages for tests, and a thousand of them with totals known beforehand."""

from collections import Counter
from dataclasses import dataclass


def header(number="1", *, charset="UNICODE UTF-8", kind="ORU^R01^ORU_R01", version="2.5.1"):
    """Return MSH; `number` is the message control ID."""
    fields = ["MSH", "^~\\&", "RIS", "HOSPITAL", "WETREAD", "WETREAD", "20261130081500", ""]
    return "|".join([*fields, kind, str(number), "P", version, "", "", "", "", "", charset])


def patient(identifier="P1", name="Nobody^Ann"):
    """Return PID."""
    return f"PID|1||{identifier}^^^HOSP^MR||{name}||19500101|F"


def order(accession="A1", *, status="F", filler="", finished="", place=18):
    """Return OBR; `place` is the field of the accession number."""
    fields = ["OBR", "1", *[""] * 24]
    fields[4], fields[7], fields[25] = "71020^Chest^C4", "20261130080000", status
    fields[3], fields[22] = filler, finished
    fields[place] = accession
    return "|".join(fields)


def line(text, *, kind="TX", code="71020&GDT^Chest", status="F", number=1):
    """Return OBX; `text` is the field as it is sent."""
    return f"OBX|{number}|{kind}|{code}|1|{text}||||||{status}"


def message(*segments, encoding="utf-8"):
    """Return the bytes of a message, each segment ended by CR."""
    return "".join(f"{each}\r" for each in segments).encode(encoding)


def simple(number="1", text="Mild edema.", accession="A1", **changes):
    """Return a message with one final report of a line."""
    return message(header(number), patient(), order(accession, **changes), line(text, status="F"))


def framed(content):
    """Return a message in MLLP's frame."""
    return b"\x0b" + content + b"\x1c\r"


@dataclass(frozen=True)
class Traffic:
    """Messages and what they amount to.

    Attributes:
        messages: In the order of sending.
        totals: Counts over the messages, by what becomes of the orders.
        states: Counts of the rows in the end, by state, where no study is known.
    """

    messages: list[bytes]
    totals: Counter
    states: Counter


def thousand():
    """Return 1,000 messages: 125 rounds of eight.

    A round: P, F and C of a report; the C again; a message with two studies; one with an embedded PDF
    only; one withdrawn after it was final (two messages). Hand-counted for each round: final orders
    F, C, C again, two studies, F = 6, of them 5 different; one withdrawn; one preliminary; one without
    text. In the end: F superseded by C, two unmatched studies, C unmatched, and two withdrawn rows.
    """
    messages = []
    for number in range(125):
        at = f"R{number}"
        corrected = message(
            header(f"{at}c"),
            patient(),
            order(f"{at}A", status="C", finished="202611301000"),
            line("No edema \\T\\ no effusion.~Heart \\.br\\enlarged.", status="C"),
        )
        messages += [
            message(header(f"{at}p"), order(f"{at}A", status="P"), line("Edema.", status="P")),
            message(
                header(f"{at}f"),
                patient(),
                order(f"{at}A", finished="202611300900"),
                line("Edema \\X41\\.", kind="FT"),
                line("^application^pdf^Base64^JVBERi0xLjQ=", kind="ED", number=2),
            ),
            corrected,
            corrected,
            message(
                header(f"{at}t"),
                patient(),
                order(f"{at}B"),
                line("Effusion."),
                order(f"{at}C"),
                line("Clear lungs."),
            ),
            message(
                header(f"{at}e"),
                patient(),
                order(f"{at}D"),
                line("^application^pdf^Base64^JVBERi0xLjQ=", kind="ED"),
            ),
            message(header(f"{at}g"), patient(), order(f"{at}E"), line("Pneumonia.")),
            message(header(f"{at}x"), patient(), order(f"{at}E", status="X")),
        ]
    return Traffic(
        messages,
        Counter(final=6 * 125, withdrawn=125, preliminary=125, without_text=125, not_read=2 * 125),
        Counter({"superseded": 125, "unmatched": 3 * 125, "withdrawn": 2 * 125}),
    )
