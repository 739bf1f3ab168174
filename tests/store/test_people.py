from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_al.errors import AccessError
from llm_al.store import SqlStore
from llm_al.store.people import Invite, People, Person, Session, fold

NOW = 1_000.0


@pytest.fixture
def people(store: SqlStore) -> People:
    return store.people


@pytest.fixture
def staffed(people: People) -> People:
    people.add(Person("Olga", "owner", password="slow", token_digest="d1", created_s=1.0))
    people.add(Person("ann", "annotator", expertise=("refund",), created_s=2.0))
    return people


def session(digest: str, person: str, *, until: float = NOW + 60.0) -> Session:
    return Session(digest, person, "", "csrf", NOW, until)


def test_a_new_project_has_nobody(people: People) -> None:
    assert people.is_empty()
    assert people.everybody() == []
    assert people.find("ann") is None


def test_people_come_back_as_they_were_added(staffed: People) -> None:
    assert not staffed.is_empty()
    assert staffed.everybody() == [
        Person("Olga", "owner", "slow", "d1", created_s=1.0),
        Person("ann", "annotator", expertise=("refund",), created_s=2.0),
    ]


def test_names_are_one_whatever_their_case(staffed: People) -> None:
    assert staffed.find("OLGA") == staffed.find("Olga")
    staffed.add(Person("Straße", "annotator"))
    assert staffed.find("STRASSE") == staffed.find("Straße")
    with pytest.raises(AccessError, match="the name 'ANN' is taken; choose another"):
        staffed.add(Person("ANN", "reviewer"))


def test_a_person_shows_no_secret() -> None:
    shown = repr(Person("ann", "owner", password="$argon2id$secret", token_digest="abc"))
    assert "secret" not in shown
    assert "abc" not in shown


def test_a_token_finds_its_person(staffed: People) -> None:
    found = staffed.find_token("d1")
    assert found is not None
    assert found.name == "Olga"
    assert staffed.find_token("d2") is None


def test_change_ends_sessions_unless_they_are_kept(staffed: People) -> None:
    staffed.begin_session(session("s", "ann"))
    staffed.change("ANN", expertise=("product",), is_session_kept=True)
    assert staffed.session("s", now=NOW) is not None
    staffed.change("ann", role="reviewer")
    assert staffed.session("s", now=NOW) is None
    assert staffed.everybody()[1] == Person("ann", "reviewer", expertise=("product",), created_s=2.0)


def test_nobody_of_that_name_can_be_changed(staffed: People) -> None:
    with pytest.raises(AccessError, match="there is nobody of that name"):
        staffed.change("bob", role="owner")


@pytest.mark.parametrize("values", [{"role": "annotator"}, {"is_active": False}])
def test_the_last_owner_stays(staffed: People, values: dict[str, object]) -> None:
    with pytest.raises(AccessError, match="somebody has to stay owner"):
        staffed.change("Olga", **values)
    assert staffed.find("Olga") == Person("Olga", "owner", "slow", "d1", created_s=1.0)
    staffed.change("ann", role="owner")
    staffed.change("Olga", **values)


def test_an_invitation_is_used_once(staffed: People) -> None:
    staffed.invite(Invite("abcdef0123", "reviewer", None, "Olga", NOW, NOW + 10.0))
    assert staffed.invitation("abcdef0123", now=NOW) is not None
    assert staffed.accept("abcdef0123", Person("eve", "reviewer", created_s=NOW + 1.0))
    assert not staffed.accept("abcdef0123", Person("mallory", "reviewer", created_s=NOW + 2.0))
    assert staffed.find("mallory") is None
    assert staffed.invitation("abcdef0123", now=NOW) is None
    assert [invite.used_by for invite in staffed.invitations()] == ["eve"]


def test_an_invitation_expires(staffed: People) -> None:
    staffed.invite(Invite("abcdef0123", "reviewer", None, "Olga", NOW, NOW + 10.0))
    assert staffed.invitation("abcdef0123", now=NOW + 10.0) is None
    assert not staffed.accept("abcdef0123", Person("eve", "reviewer", created_s=NOW + 10.0))


def test_a_taken_name_leaves_the_invitation_open(staffed: People) -> None:
    staffed.invite(Invite("abcdef0123", "reviewer", None, "Olga", NOW, NOW + 10.0))
    with pytest.raises(AccessError, match="is taken"):
        staffed.accept("abcdef0123", Person("Ann", "reviewer", created_s=NOW))
    assert staffed.invitation("abcdef0123", now=NOW) is not None


def test_of_two_guests_at_once_one_comes_in(staffed: People) -> None:
    staffed.invite(Invite("abcdef0123", "annotator", None, "Olga", NOW, NOW + 10.0))
    with ThreadPoolExecutor(4) as threads:
        tried = threads.map(
            lambda n: staffed.accept("abcdef0123", Person(f"g{n}", "annotator", created_s=NOW)), range(8)
        )
        assert sum(tried) == 1
    assert len(staffed.everybody()) == 3


def test_withdraw_takes_one_unused_invitation(staffed: People) -> None:
    for digest in ("aaaa1111", "aaaa2222", "b%b_3333"):
        staffed.invite(Invite(digest, "annotator", None, "Olga", NOW, NOW + 10.0))
    assert not staffed.withdraw("aaaa")
    assert not staffed.withdraw("%")
    assert staffed.withdraw("aaaa1")
    assert staffed.accept("aaaa2222", Person("eve", "annotator", created_s=NOW))
    assert not staffed.withdraw("aaaa2")
    assert sorted(invite.digest for invite in staffed.invitations()) == ["aaaa2222", "b%b_3333"]


def test_a_session_carries_the_role_of_today(staffed: People) -> None:
    staffed.begin_session(session("s", "ann"))
    found = staffed.session("s", now=NOW)
    assert found is not None
    assert (found.person, found.role, found.csrf) == ("ann", "annotator", "csrf")


def test_a_session_is_over_when_it_expires_ends_or_its_person_left(staffed: People) -> None:
    for digest in ("a", "b", "c"):
        staffed.begin_session(session(digest, "ann"))
    assert staffed.session("a", now=NOW + 60.0) is None
    assert staffed.end_session("b") == "ann"
    assert staffed.end_session("b") is None
    assert staffed.session("b", now=NOW) is None
    staffed.change("ann", is_active=False, is_session_kept=True)
    assert staffed.session("c", now=NOW) is None


def test_a_new_session_ends_the_former_and_the_expired(staffed: People) -> None:
    staffed.begin_session(session("old", "ann", until=NOW + 1.0))
    staffed.begin_session(session("former", "ann"))
    staffed.begin_session(Session("new", "ann", "", "c", NOW + 5.0, NOW + 60.0), ended="former")
    assert [staffed.session(digest, now=NOW) is not None for digest in ("old", "former", "new")] == [False, False, True]


def test_extend_session_moves_its_end(staffed: People) -> None:
    staffed.begin_session(session("s", "ann"))
    staffed.extend_session("s", NOW + 500.0)
    assert staffed.session("s", now=NOW + 499.0) is not None


def test_attempts_wait_by_key_and_are_forgotten(people: People) -> None:
    def delay(n: int) -> float:
        return 0.0 if n < 2 else 10.0

    delays = {"name": delay, "address": lambda _n: 0.0}
    assert [people.attempt(delays, now=NOW, window_s=100.0) for _ in range(3)] == [0.0, 0.0, 10.0]
    assert people.attempt(delays, now=NOW + 4.0, window_s=100.0) == 6.0
    assert people.attempt(delays, now=NOW + 10.0, window_s=100.0) == 0.0
    people.forgive("name")
    assert people.attempt(delays, now=NOW + 10.0, window_s=100.0) == 0.0
    # Two of the address are older than the window by now.
    counted: list[int] = []
    people.attempt({"address": lambda n: counted.append(n) or 0.0}, now=NOW + 105.0, window_s=100.0)
    assert counted == [2]


def test_one_attempt_can_be_forgiven_alone(people: People) -> None:
    free = {"address": lambda _n: 0.0}
    for second in (0.0, 1.0, 2.0):
        people.attempt(free, now=NOW + second, window_s=100.0)
    people.forgive("address", at_s=NOW + 1.0)
    counted: list[int] = []
    people.attempt({"address": lambda n: counted.append(n) or 0.0}, now=NOW + 3.0, window_s=100.0)
    assert counted == [2]


def test_attempts_at_once_do_not_slip_through(people: People) -> None:
    delays = {"name": lambda n: 0.0 if n < 3 else 60.0}
    with ThreadPoolExecutor(8) as threads:
        waits = list(threads.map(lambda _: people.attempt(delays, now=NOW, window_s=100.0), range(40)))
    assert waits.count(0.0) == 3


def test_names_fold_beyond_ascii() -> None:
    assert fold("ÉMILE") == fold("émile")
