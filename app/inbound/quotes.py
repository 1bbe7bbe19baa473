"""Which part of an answer is its writer's, and which repeats what they answer. Pure."""

import re

_WROTE = re.compile(
    r"^(?:On|Am|Le|El|Il|Op|Em|Den|W dniu)\b.{4,300}"
    r"(?:wrote|schrieb|a écrit|escribió|ha scritto|schreef|escreveu|skrev|napisał)\b.{0,100}:$|^.{4,300}\bkirjoitti:$"
)
_RULE = re.compile(
    r"^\s*(?:-{2,}\s*(?:Original Message|Ursprüngliche Nachricht|Message d'origine|Mensaje original|"
    r"Alkuperäinen viesti)\s*-{2,}|_{20,})\s*$",
    re.IGNORECASE,
)


def without_quotes(text: str) -> str:
    """Without what is repeated at its end. Whoever answers between the quoted lines needs them, and so does a mail that
    says nothing else: these stay whole."""
    lines = text.split("\n")
    for place, line in enumerate(lines):
        # A long line of attribution is wrapped.
        wrapped = f"{line} {lines[place + 1]}" if place + 1 < len(lines) else line
        if _RULE.match(line):
            return _unless_empty(lines[:place], text)
        begins = any(_WROTE.match(each.strip()) for each in (line, wrapped))
        if begins and not line.startswith(">"):
            return text if _answers_between(lines[place + 1 :]) else _unless_empty(lines[:place], text)
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith(">")):
        end -= 1
    return _unless_empty(lines[:end], text)


def _answers_between(rest: list[str]) -> bool:
    """Whether something that is not quoted stands behind something that is."""
    marks = [line.startswith(">") for line in rest if line.strip()]
    return any(marks) and False in marks[marks.index(True) :]


def _unless_empty(lines: list[str], whole: str) -> str:
    return "\n".join(lines).strip() or whole
