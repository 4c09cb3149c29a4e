import pytest

from core.home_folder import hide_home, hide_homes


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("/home/anna/data/rsna", "~/data/rsna"),
        ("/Users/anna.b/rsna", "~/rsna"),
        (r"C:\\Users\\Anna\\rsna", r"~\\rsna"),
        ("/root/x", "~/x"),
        ("/home/anna", "~"),
        ("There is no folder /home/anna/x; name one.", "There is no folder ~/x; name one."),
        ("/data/home/anna", "/data/home/anna"),
        ("/rootless/x", "/rootless/x"),
        ("/srv/cohort", "/srv/cohort"),
        ("", ""),
    ],
)
def test_a_home_folder_becomes_a_tilde_and_the_rest_stays(text: str, hidden: str) -> None:
    assert hide_home(text) == hidden


def test_the_home_of_this_machine_is_hidden_wherever_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/cluster/people/anna")
    assert hide_home("/cluster/people/anna/rsna") == "~/rsna"
    assert hide_home("/cluster/people/anna-maria/rsna") == "/cluster/people/anna-maria/rsna"
    monkeypatch.setenv("HOME", "/")
    assert hide_home("/data/rsna") == "/data/rsna"


def test_documents_are_hidden_all_the_way_down() -> None:
    document = {"root": "/home/anna/x", "list": [1, None, {"weights": "/home/anna/w.pth"}]}
    assert hide_homes(document) == {"root": "~/x", "list": [1, None, {"weights": "~/w.pth"}]}
    assert document["root"] == "/home/anna/x"
