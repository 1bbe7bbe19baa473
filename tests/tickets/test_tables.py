from typing import get_args, get_type_hints

from app.tickets.rows import TicketRow
from app.tickets.tables import tickets


def test_the_type_of_a_row_names_what_the_table_has_and_what_may_be_null() -> None:
    typed = {name: type(None) in get_args(hint) for name, hint in get_type_hints(TicketRow).items()}
    assert typed == {column.name: column.nullable for column in tickets.c}
