"""A random Kokoro: text to speech that hums a short noise; `python -m lab.makers.kokoro FOLDER`.

Its default language (American English) asks spaCy for `en_core_web_sm`, which comes from a hub: `english_stand_in`
installs a blank one of that name into this environment.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from lab.makers.files import write_json

VOICES = ("af_alloy", "af_heart", "am_adam")
_LETTERS = (
    ';:,.!?—…"()“” abcdefghijklmnopqrstuvwxyzæðøŋœɐɑɒɔɕɖəɚɛɜɟɡɣɤɥɨɪɬɯɰɲɳɴɸɹɻɽɾʁʂʃʈʊʋʌʎʒʔʝʣʤʥʦʧʨʰʲˈˌːᵊᵻβθχAIOQSTWY↓→↗↘'  # noqa: RUF001 - the signs of the phonetic alphabet
)
_SHAPE = {
    "istftnet": {
        "upsample_kernel_sizes": [20, 12],
        "upsample_rates": [10, 6],
        "gen_istft_hop_size": 5,
        "gen_istft_n_fft": 20,
        "resblock_dilation_sizes": [[1, 3, 5]],
        "resblock_kernel_sizes": [3],
        "upsample_initial_channel": 512,
    },
    "dropout": 0.2,
    "hidden_dim": 512,
    "max_dur": 4,  # keeps the sound short: about 50 ms a phoneme
    "n_layer": 1,
    "n_mels": 80,
    "n_token": 178,
    "style_dim": 128,
    "text_encoder_kernel_size": 5,
    "plbert": {
        "hidden_size": 64,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 512,
        "num_hidden_layers": 1,
        "embedding_size": 32,
    },
    "vocab": {letter: number for number, letter in enumerate(dict.fromkeys(_LETTERS), 1)},
}
_PARTS = ("bert", "bert_encoder", "predictor", "text_encoder", "decoder")


def write(folder: Path) -> None:
    """Write the model and its voices."""
    import torch
    from kokoro import KModel

    torch.manual_seed(0)
    config = folder / "config.json"
    write_json(config, _SHAPE)
    empty = folder / "empty.pth"
    torch.save({}, empty)
    model = KModel(repo_id="hexgrad/Kokoro-82M", config=str(config), model=str(empty))
    empty.unlink()
    weights = {part: getattr(model, part).state_dict() for part in _PARTS}
    for state in weights.values():
        for name, values in state.items():
            state[name] = values.half() if values.is_floating_point() else values
    torch.save(weights, folder / "kokoro-v1_0.pth")
    (folder / "voices").mkdir(exist_ok=True)
    for voice in VOICES:  # a style for every count of phonemes up to 510
        torch.save(torch.randn(510, 1, 256) * 0.1, folder / "voices" / f"{voice}.pt")


def english_stand_in() -> None:
    """Install a blank `en_core_web_sm` into this environment; harmless when it is there."""
    import spacy

    site = Path(sysconfig.get_paths()["purelib"])
    package, metadata = site / "en_core_web_sm", site / "en_core_web_sm-3.8.0.dist-info"
    language = spacy.blank("en")
    language.add_pipe("tok2vec", config={"model": _EMBEDDING})
    tagger = language.add_pipe("tagger", config={"model": _TAGGER})
    for tag in ("NN", "VB", "DT", "IN"):
        tagger.add_label(tag)
    language.initialize()
    language.meta.update(name="core_web_sm", version="3.8.0")
    data = package / "en_core_web_sm-3.8.0"
    data.mkdir(parents=True, exist_ok=True)
    language.to_disk(data)
    (package / "meta.json").write_text((data / "meta.json").read_text())
    (package / "__init__.py").write_text(
        "from spacy.util import load_model_from_init_py\n\n__version__ = '3.8.0'\n\n\n"
        "def load(**overrides):\n    return load_model_from_init_py(__file__, **overrides)\n"
    )
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: en_core_web_sm\nVersion: 3.8.0\n")
    (metadata / "RECORD").write_text("")


_EMBEDDING = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "pretrained_vectors": None,
    "width": 16,
    "depth": 1,
    "embed_size": 64,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
}
_TAGGER = {
    "@architectures": "spacy.Tagger.v2",
    "nO": None,
    "normalize": False,
    "tok2vec": {"@architectures": "spacy.Tok2VecListener.v1", "width": 16, "upstream": "tok2vec"},
}

if __name__ == "__main__":
    english_stand_in()
    write(Path(sys.argv[1]))
