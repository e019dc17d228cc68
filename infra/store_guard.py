"""Who may do what in the embedded store: a writer, and a reader who can do nothing but read, within caps.

chDB has no users. `readonly = 1` refuses writes, but not everything that leaves the tables: seen in engine 26.9, a read-only
handle may still read any file with the function file(), write one with INTO OUTFILE, kill queries, look at Python objects and
reach for the network. So a reader's statement is first brought into the engine's own canonical form (one statement, no
comments, plain quotes), and only known kinds of statements and table functions pass.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infra.store_engine import EngineError

READ = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN", "("})
TABLE_FUNCTIONS = frozenset(
    {
        "numbers",
        "numbers_mt",
        "zeros",
        "zeros_mt",
        "values",
        "view",
        "generateseries",
        "generate_series",
        "format",
        "null",
        "primes",
        "merge",
    }
)
"""Table functions that only make rows, or read tables that may be read anyway."""
FUNCTIONS = frozenset(
    {"file", "catboostevaluate", "getclienthttpheader", "sleep", "sleepeachrow", "getserversetting", "serveruuid"}
)
"""Ordinary functions that reach outside the tables or only cost time; `ai…` (they call a language model) go by prefix."""
CAPS = ("max_execution_time", "max_result_rows", "max_result_bytes", "max_memory_usage")
HARMLESS = re.compile(
    r"output_format_\w+|extremes|join_use_nulls|session_timezone|max_threads|max_block_size|additional_table_filters"
    r"|additional_result_filter|prefer_column_name_to_alias|final|date_time_output_format|log_comment"
)
_STRING = re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)
_CALL = re.compile(r"(?:`((?:[^`\\]|\\.)*)`|\"((?:[^\"\\]|\\.)*)\"|([A-Za-z_]\w*))\s*\(")
_WORD = re.compile(r"\(|[A-Za-z]+")
_OUTFILE = re.compile(r"\boutfile\b", re.IGNORECASE)


@dataclass(frozen=True)
class Account:
    """One user. `reader`: may only read, within `caps` (setting: highest value)."""

    user: str
    password: str
    reader: bool
    caps: Mapping[str, int]


class Guard:
    """Checks credentials and what readers ask. `canonical` brings a statement into the engine's form."""

    def __init__(self, accounts: list[Account], canonical: Callable[[str], str], table_functions: set[str]) -> None:
        self._accounts = accounts
        self._canonical = canonical
        self._refused = {f.lower() for f in table_functions} - TABLE_FUNCTIONS | FUNCTIONS

    def account(self, user: str, password: str) -> Account:
        """The account. Raises EngineError (516), with the same words whatever was wrong."""
        found = None
        for account in self._accounts:
            same = hmac.compare_digest(account.user.encode(), user.encode("utf-8", "replace"))
            if (
                hmac.compare_digest(account.password.encode(), password.encode("utf-8", "replace"))
                and same
                and account.password
            ):
                found = account
        if found is None:
            name = re.sub(r"[^\w.@-]", "?", user)[:40]
            raise EngineError(
                f"Code: 516. DB::Exception: {name}: Authentication failed: password is incorrect, "
                "or there is no user with such name. (AUTHENTICATION_FAILED)",
                516,
            )
        return found

    def settings(self, account: Account, asked: Mapping[str, str]) -> dict[str, str]:
        """Settings in force for a request. A reader may lower the caps, not raise them. Raises EngineError (164)."""
        if not account.reader:
            return dict(asked)
        given: dict[str, str] = {}
        for name, value in asked.items():
            if name in account.caps:
                continue
            if name not in CAPS and name != "readonly" and not HARMLESS.fullmatch(name):
                raise _refusal(f"Cannot modify '{name}' setting in readonly mode")
            given[name] = value
        given |= {name: str(_lower(asked.get(name, ""), cap)) for name, cap in account.caps.items()}
        return given | {"result_overflow_mode": "throw", "timeout_overflow_mode": "throw", "readonly": "1"}

    def check(self, account: Account, sql: str) -> None:
        """Raises EngineError for a statement that a reader may not run, or that is no single statement."""
        if not account.reader:
            return
        if _OUTFILE.search(sql):
            raise _refusal("INTO OUTFILE is not allowed")
        plain = _STRING.sub("''", self._canonical(sql))
        word = _WORD.match(plain.lstrip())
        if word is None or word.group().upper() not in READ:
            raise _refusal("Cannot execute query in readonly mode")
        for parts in _CALL.findall(plain):
            name = "".join(parts).lower()
            if name in self._refused or name.startswith("ai"):
                raise _refusal(f"function {name} is not allowed")


def _lower(asked: str, cap: int) -> int:
    """What was asked for when it is a lower number, else the cap; 0 would mean none."""
    try:
        value = int(float(asked))
    except (ValueError, OverflowError):
        return cap
    return value if 0 < value < cap else cap


def _refusal(what: str) -> EngineError:
    return EngineError(f"Code: 164. DB::Exception: {what}. (READONLY)", 164)
