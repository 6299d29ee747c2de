"""The demo's staff and library cards: made up, and the same in every demo, so that anybody can try everything."""

from typing import NamedTuple


class DemoAccount(NamedTuple):
    email: str
    password: str
    role: str
    totp_secret: str
    first_name: str
    last_name: str
    institution: str = ""


class DemoCard(NamedTuple):
    """A line of the demo's list of cards in Antwerp. `born` empty: a librarian has to look."""

    number: str
    born: str
    valid: bool = True


PASSWORD = "leren-met-je-bibkaart"

DEMO_ACCOUNTS = (
    DemoAccount(
        "lin@leerkaart.test",
        PASSWORD,
        "librarian",
        "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "Lin",
        "Verhaegen",
        "antwerpen",
    ),
    DemoAccount(
        "nadia@leerkaart.test",
        PASSWORD,
        "librarian",
        "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU",
        "Nadia",
        "El Amrani",
        "muntpunt",
    ),
    DemoAccount("mo@leerkaart.test", PASSWORD, "coordinator", "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK", "Mo", "De Backer"),
    DemoAccount("ops@leerkaart.test", PASSWORD, "operator", "NBSWY3DPO5XXE3DENBSWY3DPO5XXE3DE", "Ops", "Janssens"),
)

DEMO_CARDS = (
    DemoCard("21990001", "1948-03-02"),
    DemoCard("21990002", "1952-11-23"),
    DemoCard("21990003", "1957-06-14"),
    DemoCard("21990004", "1961-01-30"),
    DemoCard("21990005", "1966-09-09"),
    DemoCard("21990006", "1970-05-27"),
    DemoCard("21990007", "1974-12-05"),
    DemoCard("21990008", "1979-08-18"),
    DemoCard("21990009", "1983-02-11"),
    DemoCard("21990010", "1987-10-06"),
    DemoCard("21990011", "1991-04-21"),
    DemoCard("21990012", "1994-07-15"),
    DemoCard("21990013", "1998-12-31"),
    DemoCard("21990014", "2003-02-28"),
    DemoCard("21990015", ""),
    DemoCard("21990016", ""),
    DemoCard("21990017", ""),
    DemoCard("21990018", ""),
    DemoCard("21990019", "1955-05-05", valid=False),
    DemoCard("21990020", "1989-09-19", valid=False),
)
