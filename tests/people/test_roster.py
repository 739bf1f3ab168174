import sys
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from llm_al.errors import AccessError, MissingExtraError, TooOftenError
from llm_al.people.passwords import Passwords, digest
from llm_al.people.roster import Roster, RosterRules, clean_name
from llm_al.store import SqlStore
from tests.fakes.argon import CHEAP, cheap_passwords
from tests.fakes.clock import Clock

GOOD = "four words make one"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path):
    with SqlStore(tmp_path / "project.db") as opened:
        yield opened


@pytest.fixture
def empty(store: SqlStore, clock: Clock) -> Roster:
    return Roster(store.people, passwords=cheap_passwords(), clock=clock)


@pytest.fixture
def roster(empty: Roster) -> Roster:
    empty.add("olga", "owner", password=GOOD)
    empty.add("ann", "annotator", password=GOOD)
    return empty


def test_the_first_account_is_an_owners(empty: Roster) -> None:
    assert empty.is_empty()
    assert not empty.has_owner()
    for call in (lambda: empty.add("ann", "annotator"), lambda: empty.invite("reviewer", by="me")):
        with pytest.raises(AccessError, match="the first account has to be an owner's"):
            call()
    assert empty.invite("owner", by="me")
    empty.add("olga", "owner")
    assert empty.has_owner()


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "a/b",
        "a\\b",
        "<b>",
        "a\nb",
        "a\0b",
        "-x",
        "_x",
        "x" * 65,
        "a:b",
        'a"b',
        "a\u202eb",
        "\ud800",
    ],
)
def test_names_that_cannot_be_used(name: str) -> None:
    with pytest.raises(AccessError, match="this name cannot be used"):
        clean_name(name)


@pytest.mark.parametrize(
    "name", ["ann", "Zoë", "李雷", "ann@example.org", "O'Neil", "Ann-Sofie B. Lund", "x" * 64, "7"]
)
def test_names_that_can(name: str) -> None:
    assert clean_name(name) == name


def test_a_name_is_kept_in_one_form() -> None:
    assert clean_name("Zoe\u0308") == "Zoë"
    assert clean_name("\uff41\uff4e\uff4e") == "ann"


def test_roles_are_three(roster: Roster) -> None:
    with pytest.raises(AccessError, match="unknown role 'admin'; choose from: annotator, reviewer, owner"):
        roster.add("bob", "admin")


def test_passwords_are_kept_as_argon2id_and_tokens_as_digests(roster: Roster, store: SqlStore) -> None:
    token = roster.add("bob", "annotator")
    kept = {person.name: person for person in store.people.everybody()}
    assert token is not None
    assert len(token) >= 43
    assert str(kept["ann"].password).startswith("$argon2id$")
    assert (kept["bob"].password, kept["bob"].token_digest) == (None, digest(token))
    whole = (store.database.name, store.database.engine)
    assert GOOD not in repr(kept) + repr(whole)
    assert token not in repr(kept)


def test_the_usual_price_of_a_hash_is_that_of_rfc_9106() -> None:
    kept = Passwords().hash(GOOD, name="ann")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


@pytest.mark.parametrize("password", ["short", "x" * 9, "a" * 2000, "é" * 600])
def test_passwords_have_a_length(roster: Roster, password: str) -> None:
    with pytest.raises(AccessError, match="take at least 10, for example four words"):
        roster.set_password("ann", password)


@pytest.mark.parametrize("password", ["aaaaaaaaaaaa", "annannannann"])
def test_passwords_are_no_names(roster: Roster, password: str) -> None:
    roster.add("annannannann", "annotator")
    with pytest.raises(AccessError, match="is the name or one character"):
        roster.set_password("AnnAnnAnnAnn", password)


def test_log_in_with_a_password_however_the_name_is_written(roster: Roster) -> None:
    entry = roster.login(" ANN ", GOOD)
    found = roster.session(entry.secret)
    assert found is not None
    assert (found.person, found.role) == ("ann", "annotator")
    assert entry.secret not in repr(entry)


def test_the_store_knows_no_secret_of_a_session(roster: Roster) -> None:
    entry = roster.login("ann", GOOD)
    assert entry.session.digest == digest(entry.secret)
    assert roster.session(entry.session.digest) is None


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "four words make two"), ("nobody", GOOD), ("", ""), ("ann", "")]
)
def test_a_wrong_login_does_not_say_what_was_wrong(roster: Roster, name: str, password: str) -> None:
    with pytest.raises(AccessError, match="name and password, or the token, do not fit"):
        roster.login(name, password)


def test_a_person_with_a_token_only_has_no_password(roster: Roster) -> None:
    roster.add("bob", "annotator")
    for password in ("", "None", GOOD):
        with pytest.raises(AccessError, match="do not fit"):
            roster.login("bob", password)


def test_an_unknown_name_costs_a_hash_as_well(store: SqlStore) -> None:
    class Counting(PasswordHasher):
        n_verified = 0

        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            self.n_verified += 1
            return super().verify(hash, password)

    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    roster = Roster(store.people, passwords=Passwords(hasher))
    with pytest.raises(AccessError):
        roster.login("nobody", GOOD)
    assert hasher.n_verified == 1


def test_log_in_with_a_token(roster: Roster) -> None:
    token = roster.add("bob", "reviewer")
    assert token is not None
    assert roster.login_with_token(f" {token}\n").session.role == "reviewer"
    with pytest.raises(AccessError, match="do not fit"):
        roster.login_with_token(token[:-1])
    again = roster.renew_token("bob")
    with pytest.raises(AccessError, match="do not fit"):
        roster.login_with_token(token)
    assert roster.login_with_token(again)


def test_who_left_cannot_come_in(roster: Roster) -> None:
    token = roster.add("bob", "annotator")
    entry = roster.login("ann", GOOD)
    for name in ("ann", "bob"):
        roster.change(name, is_active=False)
    assert roster.session(entry.secret) is None
    with pytest.raises(AccessError, match="do not fit"):
        roster.login("ann", GOOD)
    with pytest.raises(AccessError, match="do not fit"):
        roster.login_with_token(str(token))


def test_a_new_role_and_a_new_password_end_sessions_and_expertise_does_not(roster: Roster) -> None:
    entry = roster.login("ann", GOOD)
    roster.change("ann", expertise=["refund"])
    assert roster.session(entry.secret)
    roster.change("ann", role="reviewer")
    assert roster.session(entry.secret) is None
    entry = roster.login("ann", GOOD)
    roster.set_password("ann", "another four words")
    assert roster.session(entry.secret) is None
    assert roster.login("ann", "another four words").session.role == "reviewer"


def test_a_change_of_nothing_is_none(roster: Roster) -> None:
    entry = roster.login("ann", GOOD)
    roster.change("ann")
    assert roster.session(entry.secret)


def test_a_login_never_takes_over_a_session(roster: Roster) -> None:
    planted = roster.login("ann", GOOD)
    entry = roster.login("olga", GOOD, former=planted.secret)
    assert entry.secret != planted.secret
    assert roster.session(planted.secret) is None
    made_up = roster.login("ann", GOOD, former="a secret that somebody made up")
    assert roster.session("a secret that somebody made up") is None
    assert roster.session(made_up.secret)


def test_log_out_ends_this_session_alone(roster: Roster) -> None:
    here, there = roster.login("ann", GOOD), roster.login("ann", GOOD)
    assert roster.logout(here.secret) == "ann"
    assert roster.logout(here.secret) is None
    assert roster.session(here.secret) is None
    assert roster.session(there.secret)


def test_a_session_ends_without_requests_and_after_a_week(roster: Roster, clock: Clock) -> None:
    rules = RosterRules()
    idle, busy = roster.login("ann", GOOD), roster.login("ann", GOOD)
    for _ in range(int(rules.session_s / (rules.idle_s / 2)) - 1):
        clock.pass_by(rules.idle_s / 2)
        assert roster.session(busy.secret)
    assert roster.session(idle.secret) is None
    clock.pass_by(rules.idle_s / 2)
    assert roster.session(busy.secret) is None


def test_a_request_writes_the_end_of_its_session_now_and_then_only(roster: Roster, clock: Clock) -> None:
    first = roster.login("ann", GOOD)
    clock.pass_by(60.0)
    again = roster.session(first.secret)
    assert again is not None
    assert again.expires_s == first.session.expires_s
    clock.pass_by(3600.0)
    later = roster.session(first.secret)
    assert later is not None
    assert later.expires_s == clock.now + RosterRules().idle_s


def test_old_costs_are_renewed_at_login(store: SqlStore, clock: Clock) -> None:
    Roster(store.people, passwords=cheap_passwords()).add("olga", "owner", password=GOOD)
    dear = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    entry = Roster(store.people, passwords=dear).login("olga", GOOD)
    kept = store.people.everybody()[0].password
    assert "m=16,t=2,p=1" in str(kept)
    assert Roster(store.people, passwords=dear).session(entry.secret)


def fail(roster: Roster, name: str, address: str = "10.0.0.1") -> float:
    """Return the wait after which a wrong login is tried at all; 0 when it was tried."""
    try:
        roster.login(name, "no such password", address=address)
    except TooOftenError as exc:
        return exc.wait_s
    except AccessError:
        return 0.0
    raise AssertionError("a wrong password was taken")


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_guessing_at_a_name_gets_slower_whether_it_exists_or_not(roster: Roster, clock: Clock, name: str) -> None:
    waits = []
    for _ in range(12):
        wait = fail(roster, name)
        waits.append(wait)
        if wait:
            clock.pass_by(wait)
            assert fail(roster, name) == 0.0
    assert waits == [0.0] * 5 + [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]
    with pytest.raises(TooOftenError, match="too many logins failed; try again in 256 seconds"):
        roster.login(name, GOOD, address="10.9.9.9")


def test_a_right_password_forgives_the_name_but_not_the_address(roster: Roster, clock: Clock) -> None:
    for _ in range(4):
        fail(roster, "ann")
    clock.pass_by(1.0)
    roster.login("ann", GOOD, address="10.0.0.1")
    assert [fail(roster, "ann") for _ in range(6)] == [0.0] * 5 + [2.0]
    # An address that knows one password guesses at others: it counts 9 failures by now.
    clock.pass_by(1.0)
    assert [fail(roster, f"guess{n}") for n in range(22)] == [0.0] * 21 + [2.0]


def test_an_address_that_tries_many_names_gets_slower(roster: Roster, clock: Clock) -> None:
    assert [fail(roster, f"name{n}") for n in range(31)] == [0.0] * 30 + [2.0]
    with pytest.raises(TooOftenError):
        roster.login_with_token("x", address="10.0.0.1")
    assert fail(roster, "name99", address="10.0.0.2") == 0.0


def test_an_address_of_ipv6_counts_with_its_neighbours(roster: Roster) -> None:
    assert [fail(roster, f"name{n}", f"2001:db8::{n:x}") for n in range(31)] == [0.0] * 30 + [2.0]
    assert fail(roster, "name99", "2001:db8:0:1::1") == 0.0
    assert fail(roster, "name98", "no address") == 0.0


def test_failures_are_forgotten_after_an_hour(roster: Roster, clock: Clock) -> None:
    for _ in range(5):
        fail(roster, "ann")
    assert fail(roster, "ann") == 2.0
    clock.pass_by(3600.0)
    assert roster.login("ann", GOOD)


def test_what_was_typed_as_a_name_is_not_kept(roster: Roster, store: SqlStore) -> None:
    fail(roster, "my secret password")
    store.close()
    content = b"".join(path.read_bytes() for path in sorted(Path(store.database.name).parent.iterdir()))
    assert b"my secret password" not in content


def test_an_invitation_makes_one_account(roster: Roster) -> None:
    token = roster.invite("reviewer", by="olga")
    entry = roster.accept(token, name="Eve", password=GOOD)
    assert (entry.session.person, entry.session.role) == ("Eve", "reviewer")
    assert roster.session(entry.secret)
    with pytest.raises(AccessError, match="this invitation was used or has expired"):
        roster.accept(token, name="Mallory", password=GOOD)
    (invite,) = roster.invitations()
    assert (invite.used_by, invite.created_by, invite.digest) == ("Eve", "olga", digest(token))


def test_an_invitation_with_a_name_gives_that_name(roster: Roster) -> None:
    token = roster.invite("annotator", by="olga", name="Eve")
    assert roster.accept(token, name="Mallory", password=GOOD).session.person == "Eve"
    with pytest.raises(AccessError, match="the name 'ann' is taken"):
        roster.invite("annotator", by="olga", name="ann")


def test_an_invitation_expires(roster: Roster, clock: Clock) -> None:
    token = roster.invite("annotator", by="olga", hours=2.0)
    clock.pass_by(7199.0)
    assert roster.invitation(token)
    clock.pass_by(1.0)
    assert roster.invitation(token) is None


@pytest.mark.parametrize("hours", [0.0, -1.0, 8761.0, float("nan"), float("inf")])
def test_an_invitation_lasts_a_while(roster: Roster, hours: float) -> None:
    with pytest.raises(AccessError, match="an invitation cannot last"):
        roster.invite("annotator", by="olga", hours=hours)


def test_an_invitation_can_be_withdrawn_by_the_beginning_of_its_digest(roster: Roster) -> None:
    token = roster.invite("annotator", by="olga")
    assert not roster.withdraw("")
    assert not roster.withdraw(digest(token)[:4])
    assert roster.withdraw(digest(token)[:16])
    assert roster.invitation(token) is None


def test_a_weak_password_leaves_the_invitation_open(roster: Roster) -> None:
    token = roster.invite("annotator", by="olga")
    with pytest.raises(AccessError, match="take at least 10"):
        roster.accept(token, name="eve", password="short")
    assert roster.accept(token, name="eve", password=GOOD)


def test_cheap_is_for_tests_only() -> None:
    assert CHEAP.memory_cost < PasswordHasher().memory_cost


def test_without_the_extra_only_accounts_are_missing(monkeypatch, store: SqlStore) -> None:
    monkeypatch.setitem(sys.modules, "argon2", None)
    roster = Roster(store.people)
    assert roster.is_empty()
    assert roster.add("olga", "owner")
    with pytest.raises(MissingExtraError, match=r'pip install "llm_al\[web\]"'):
        roster.login("olga", GOOD)
