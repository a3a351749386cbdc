"""From an address to a network that is trained, to a folder, and back to training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearsight.core.artefact import MANIFEST, read_artefact, write_artefact
from nearsight.core.errors import Damaged, EncoderError, UnknownName
from nearsight.encode import Encoder, create
from nearsight.encode.encoder import FORMAT, VERSION
from nearsight.encode.network import bare, compose
from nearsight.encode.trainable import trainable

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

TOWER, HEAD = "small_cnn/modern?size=32&dim=12&pool=2", "linear?dim=6"


def pictures() -> list[Image.Image]:
    draw = np.random.default_rng(0)
    return [Image.fromarray(draw.integers(0, 256, (9, 8, 3), dtype=np.uint8)).resize((70, 50)) for _ in range(8)]


def train(module) -> None:
    """A step on noise, so that nothing is as it was drawn."""
    module.train()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    module(torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    optimiser.step()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Encoder]:
    """An encoder folder with a recipe beside the network, and the encoder that was saved."""
    made = trainable(f"{TOWER}&seed=3", HEAD, seed=4)
    train(made.module)
    encoder = Encoder(made.finish())
    folder = tmp_path_factory.mktemp("trained") / "e"
    encoder.save(folder, {"recipe.toml": b"loss = 'triplet'\n"})
    return folder, encoder


def state(module) -> dict:
    return {k: v.clone() for k, v in module.state_dict().items() if "num_batches" not in k}


def test_a_trained_network_is_saved_and_loaded(trained: tuple[Path, Encoder]) -> None:
    folder, encoder = trained
    loaded = Encoder.load(folder, expect=1)
    assert loaded.spec.fingerprint == encoder.spec.fingerprint
    assert loaded.spec.dim == 6
    true = encoder.encode_images(pictures())
    assert np.einsum("nd,nd->n", loaded.encode_images(pictures()), true).min() > 0.9999
    assert (folder / "recipe.toml").read_bytes() == b"loss = 'triplet'\n"
    assert "recipe.toml" in read_artefact(folder, FORMAT, VERSION).files, "under the checksums"
    assert encoder.spec.address == "small_cnn/modern?size=32&dim=12&pool=2 + linear?dim=6"
    assert encoder.spec.identity["heads"] == [HEAD]


def test_what_was_trained_runs_without_torch(trained: tuple[Path, Encoder]) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path; from PIL import Image; from nearsight.encode import Encoder\n"
        "encoder = Encoder.load(Path(sys.argv[1]), expect=1)\n"
        "print(encoder.encode_images([Image.new('RGB', (9, 9), (9, 99, 200))])[0, 0])\n"
    )
    said = subprocess.run([sys.executable, "-c", code, str(trained[0])], check=True, capture_output=True, timeout=60)
    true = trained[1].encode_images([Image.new("RGB", (9, 9), (9, 99, 200))])
    assert float(said.stdout) == pytest.approx(float(true[0, 0]), abs=1e-4)


def test_the_head_makes_another_encoder() -> None:
    tower = create(TOWER).tower
    head = trainable(TOWER, "mlp?dim=6&norm=false", seed=1).module.head
    prints = {
        Encoder(compose(tower, head, f"mlp?dim=6&norm=false{more}")).spec.fingerprint
        for more in ("", "&activation=relu")
    }
    assert len(prints | {Encoder(tower).spec.fingerprint}) == 3, "an activation is no weight, and still decides"


def test_training_goes_on_from_the_folder(trained: tuple[Path, Encoder], tmp_path: Path) -> None:
    folder, encoder = trained
    for head in ("", HEAD):
        again = trainable(str(folder), head, seed=99)
        assert again.dim == 6
        assert Encoder(again.finish()).spec.fingerprint == encoder.spec.fingerprint
    train(again.module)
    finished = Encoder(again.finish())
    finished.save(tmp_path / "more")
    assert finished.spec.fingerprint != encoder.spec.fingerprint
    once_more = Encoder(trainable(str(tmp_path / "more")).finish())
    assert once_more.spec.fingerprint == finished.spec.fingerprint


def test_another_head_on_the_same_tower(trained: tuple[Path, Encoder]) -> None:
    folder, encoder = trained
    again = trainable(str(folder), "linear?dim=5", seed=1)
    assert again.dim == 5
    kept = state(encoder.tower.module.tower)
    assert all(torch.equal(kept[k], v) for k, v in state(again.module.tower).items())
    assert again.finish().heads == ("linear?dim=5",)
    assert trainable(str(folder), "identity").dim == 12


def test_heads_on_heads_come_off_from_the_top(tmp_path: Path) -> None:
    made = trainable(TOWER, HEAD, seed=4).finish()
    top = trainable("small_cnn/modern?size=32&dim=6", "linear?dim=3", seed=2).module.head
    Encoder(compose(made, top, "linear?dim=3")).save(tmp_path / "e")
    both, lower = trainable(str(tmp_path / "e")), trainable(str(tmp_path / "e"), HEAD)
    assert (both.dim, lower.dim) == (3, 6)
    assert all(torch.equal(v, state(made.module)[k]) for k, v in state(lower.module).items())
    assert torch.equal(both.module.head.weight, top.weight)


def test_a_tower_without_a_head_can_be_trained_on_too(tmp_path: Path) -> None:
    encoder = create(f"{TOWER}&keep_weights=true")
    encoder.save(tmp_path / "e")
    again = trainable(str(tmp_path / "e"), HEAD)
    assert all(torch.equal(v, state(encoder.tower.module)[k]) for k, v in state(again.module.tower).items())


def test_the_seed_decides_where_training_starts() -> None:
    before = torch.random.get_rng_state()
    one, same, other = (state(trainable(TOWER, HEAD, seed).module) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(v, same[k]) for k, v in one.items())
    assert not torch.equal(one["head.weight"], other["head.weight"])


@pytest.mark.parametrize("start", ["colour", "hog", "exported"])
def test_towers_without_gradients_are_refused(start: str) -> None:
    with pytest.raises(EncoderError) as caught:
        trainable(start, HEAD)
    assert caught.value.code == "encoder/untrainable"
    assert "timm/NAME" in caught.value.hint


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    create("colour").save(tmp_path / "colour")
    create(TOWER).save(tmp_path / "plain")
    for name in ("colour", "plain"):
        with pytest.raises(EncoderError) as caught:
            trainable(str(tmp_path / name))
        assert caught.value.code == "encoder/untrainable"
    with pytest.raises(UnknownName):
        trainable("no_such_tower", HEAD)
    with pytest.raises(UnknownName):
        trainable(TOWER, "no_such_head")


def rewritten(folder: Path, to: Path, **architecture: object) -> str:
    """The encoder folder with another architecture in it, under right checksums."""
    kept = read_artefact(folder, FORMAT, VERSION)
    files = {name: (folder / name).read_bytes() for name in kept.files}
    facts = json.loads(files["network.json"])
    facts["architecture"] |= architecture
    files["network.json"] = json.dumps(facts).encode()
    write_artefact(to, FORMAT, VERSION, kept.meta, files)
    return str(to)


@pytest.mark.parametrize(
    "wrong", [{"tower": "nothing"}, {"tower": 5}, {"tower": "colour"}, {"heads": ["nothing"]}, {"heads": 5}], ids=str
)
def test_a_folder_that_describes_no_network_is_damaged(trained, tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(Damaged):
        trainable(rewritten(trained[0], tmp_path / "e", **wrong))


def test_what_a_folder_says_opens_no_file_and_downloads_nothing(trained, tmp_path: Path) -> None:
    asked = f"{TOWER}&weights=/etc/passwd"
    assert Encoder(trainable(rewritten(trained[0], tmp_path / "a", tower=asked)).finish()).spec == trained[1].spec
    pytest.importorskip("timm")
    with pytest.raises(EncoderError, match="state dict"):  # built with random weights, then held to the file's
        trainable(rewritten(trained[0], tmp_path / "b", tower="timm/test_resnet?pretrained=true"))
    assert bare("timm/a?pretrained=true&size=9&weights=b&seed=1&keep_weights=true") == "timm/a?size=9"


@pytest.mark.parametrize("name", ["model.onnx", "weights.safetensors", MANIFEST, "a/b", "..", "", "a\\b"])
def test_files_beside_an_encoder_keep_to_their_own_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(EncoderError) as caught:
        Encoder(trainable(TOWER, HEAD).finish()).save(tmp_path / "e", {name: b""})
    assert caught.value.code == "encoder/files"
    assert not (tmp_path / "e").exists()


def test_weights_may_be_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = create(TOWER)
    torch.save(encoder.tower.module.state_dict(), tmp_path / "w.pth")
    monkeypatch.setenv("NEARSIGHT_HERE", str(tmp_path))
    named = f"{TOWER}&weights=$NEARSIGHT_HERE/w.pth"
    again = create(named)
    assert again.spec.address == named, "the address stays as it was given"
    assert again.spec.fingerprint == encoder.spec.fingerprint
    monkeypatch.delenv("NEARSIGHT_HERE")
    with pytest.raises(EncoderError, match="NEARSIGHT_HERE, which is not set") as caught:
        create(named)
    assert caught.value.code == "encoder/weights"


def test_what_is_random_in_a_tower_follows_from_the_seed_unless_the_address_says_its_own() -> None:
    def weights(address: str, seed: int) -> bytes:
        state = trainable(address, "linear?dim=3", seed).module.tower.state_dict()
        return b"".join(tensor.numpy().tobytes() for tensor in state.values())

    plain, own = "small_cnn/modern?size=32", "small_cnn/modern?size=32&seed=5"
    assert weights(plain, 0) == weights(plain, 0) != weights(plain, 1)
    assert weights(own, 0) == weights(own, 1) == weights(plain, 5)
