"""Where weights start: reproducible when random, taken over whole from a file, refused aloud otherwise."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from core.errors import ConfigError, WeightsUnavailableError
from core.models import weights as module
from core.models.weights import build_model

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def imagenet_like() -> State:
    """What torchvision's file holds: a ResNet18 with 1000 outputs."""
    return torchvision.models.resnet18(weights=None).state_dict()


def backbone(state: State) -> State:
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_random_weights_depend_on_the_seed_alone() -> None:
    before = torch.get_rng_state()
    model, report = build_model("resnet18", 2, "none", 3)
    torch.rand(5)
    again, _ = build_model("resnet18", 2, "none", 3)
    other, _ = build_model("resnet18", 2, "none", 4)
    assert equal(model.state_dict(), again.state_dict())
    assert not torch.equal(model.fc.weight, other.fc.weight)
    assert (report.origin, report.matched, len(report.missing)) == ("random", 0, 122)
    assert model.training
    torch.set_rng_state(before)
    build_model("resnet18", 2, "none", 3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("form", ["plain.pth", "wrapped.pth", "tensors.safetensors", "calm-fox/best.safetensors"])
def test_a_local_file_is_taken_over_but_for_a_head_of_another_size(
    imagenet_like: State, tmp_path: Path, form: str
) -> None:
    path = tmp_path / form
    path.parent.mkdir(exist_ok=True)
    if form.endswith(".safetensors"):
        save_file(imagenet_like, path)
    elif form.startswith("wrapped"):
        torch.save({"state_dict": {f"module.{name}": value for name, value in imagenet_like.items()}, "epoch": 3}, path)
    else:
        torch.save(imagenet_like, path)
    model, report = build_model("resnet18", 2, str(path), 5)
    assert equal(backbone(model.state_dict()), backbone(imagenet_like))
    random, _ = build_model("resnet18", 2, "none", 5)
    assert torch.equal(model.fc.weight, random.fc.weight)
    assert (report.matched, report.missing, report.unexpected) == (120, ("fc.weight", "fc.bias"), ())
    assert report.origin == f"{form} (SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()})"


def test_a_head_of_the_same_size_is_taken_over(tmp_path: Path) -> None:
    source, _ = build_model("resnet18", 2, "none", 1)
    save_file(source.state_dict(), tmp_path / "own.safetensors")
    model, report = build_model("resnet18", 2, str(tmp_path / "own.safetensors"), 2)
    assert equal(model.state_dict(), source.state_dict())
    assert (report.matched, report.missing) == (122, ())


def test_files_older_than_the_batch_counter_still_fit(imagenet_like: State, tmp_path: Path) -> None:
    old = {name: value for name, value in imagenet_like.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    _, report = build_model("resnet18", 2, str(tmp_path / "old.pth"), 0)
    assert report.matched == 100


@pytest.mark.parametrize(
    ("source", "target"), [("resnet34", "resnet18"), ("resnet18", "resnet34"), ("resnet50", "resnet18")]
)
def test_weights_of_another_network_are_refused(source: str, target: str, tmp_path: Path) -> None:
    torch.save(torchvision.models.get_model(source, weights=None).state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsUnavailableError, match=r"other.pth does not fit ResNet-\d+: .*expected .* found"):
        build_model(target, 2, str(tmp_path / "other.pth"), 0)


def test_a_file_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    torch.save({"encoder.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsUnavailableError, match=r"0 of its 122 tensors match; conv1.weight: expected shape"):
        build_model("resnet18", 2, str(tmp_path / "other.pth"), 0)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", bytes(1000), b"PK\x03\x04" + bytes(50)])
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsUnavailableError, match="cannot be read as weights"):
        build_model("resnet18", 2, str(path), 0)


class Trap:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("trapped"),)  # type: ignore[return-value]


def test_nothing_in_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"trap": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(WeightsUnavailableError):
        build_model("resnet18", 2, str(tmp_path / "trap.pth"), 0)
    assert not (tmp_path / "trapped").exists()


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.pth")
    with pytest.raises(WeightsUnavailableError, match="holds a list, not named tensors"):
        build_model("resnet18", 2, str(tmp_path / "list.pth"), 0)


def test_a_missing_file_and_a_missing_network_are_named() -> None:
    for name in ("~nobody-of-that-name/a.pth", "x" * 5000):
        with pytest.raises(WeightsUnavailableError, match="no such file exists"):
            build_model("resnet18", 2, name, 0)
    with pytest.raises(WeightsUnavailableError, match="'imagenet', but no such file exists; write 'default', 'none'"):
        build_model("resnet18", 2, "imagenet", 0)
    with pytest.raises(ConfigError, match="no architecture 'vgg'"):
        build_model("vgg", 2, "none", 0)


class Published:
    """Stands for torchvision's entry: only the place of the file is another."""

    url = ""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of torch's own; downloads go to wherever Published.url points."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(module, "get_weight", lambda name: Published)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A local server over tmp_path/web; yields its address."""
    (tmp_path / "web").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web"))) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def publish(imagenet_like: State, folder: Path) -> str:
    """Save weights under a name that carries their hash, as torchvision does; return the name."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(imagenet_like, folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()[:8]
    (folder / "new.pth").rename(folder / f"resnet18-{digest}.pth")
    return f"resnet18-{digest}.pth"


def test_default_weights_are_fetched_once(
    imagenet_like: State, hub: Path, server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = publish(imagenet_like, tmp_path / "web")
    Published.url = f"{server}/{name}"
    model, report = build_model("resnet18", 2, "default", 0)
    assert equal(backbone(model.state_dict()), backbone(imagenet_like))
    assert report.origin == "torchvision ResNet18_Weights.IMAGENET1K_V1"
    (tmp_path / "web" / name).unlink()
    again, _ = build_model("resnet18", 2, "default", 0)
    assert equal(model.state_dict(), again.state_dict())
    assert [path.name for path in hub.iterdir()] == [name]
    assert capfd.readouterr().out == ""  # standard output belongs to --json


def test_a_damaged_copy_is_fetched_again(imagenet_like: State, hub: Path, server: str, tmp_path: Path) -> None:
    name = publish(imagenet_like, tmp_path / "web")
    Published.url = f"{server}/{name}"
    hub.mkdir(parents=True)
    (hub / name).write_bytes((tmp_path / "web" / name).read_bytes()[:-1000])
    assert build_model("resnet18", 2, "default", 0)[1].matched == 120


def test_another_file_under_the_name_is_refused(hub: Path, server: str, tmp_path: Path) -> None:
    (tmp_path / "web" / "resnet18-f37072fd.pth").write_bytes(b"<html>Sign in to the hospital's network</html>")
    Published.url = f"{server}/resnet18-f37072fd.pth"
    with pytest.raises(WeightsUnavailableError, match=r"SHA-256 differs.*weights=/path/resnet18-f37072fd.pth"):
        build_model("resnet18", 2, "default", 0)
    assert not list(hub.iterdir())


def test_without_a_network_both_ways_out_are_named(hub: Path, server: str) -> None:
    for url in (f"{server}/resnet18-f37072fd.pth", "http://127.0.0.1:9/resnet18-f37072fd.pth"):  # 404; refused
        Published.url = url
        with pytest.raises(WeightsUnavailableError, match=r"weights=/path/resnet18-f37072fd.pth.*weights=none"):
            build_model("resnet18", 2, "default", 0)


def test_a_server_that_never_answers_is_given_up(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        Published.url = f"http://127.0.0.1:{silent.getsockname()[1]}/resnet18-f37072fd.pth"
        with pytest.raises(WeightsUnavailableError, match="timed out"):
            build_model("resnet18", 2, "default", 0)
