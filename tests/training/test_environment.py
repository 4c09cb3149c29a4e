import shlex

from core.config import RunConfig, apply_settings
from core.mri import MRSequence
from core.presets import find_preset
from core.runs.records import DataSource
from core.training.environment import describe_command
from tests.training.tiny import tiny_config


def test_the_command_names_what_differs_from_the_preset_and_nothing_else() -> None:
    config = tiny_config("sequences=FLAIR,T1w")
    source = DataSource(
        root="/data/my cohort", labels="/data/labels.csv", patient_pattern=r"\d+", assign=(("1.2", MRSequence.FLAIR),)
    )
    words = shlex.split(describe_command(config, source, 3))
    assert words[:7] == ["python", "-m", "core", "train", "/data/my cohort", "--preset", "honest"]
    assert words[words.index("--labels") + 1] == "/data/labels.csv"
    assert words[words.index("--patient-pattern") + 1] == r"\d+"
    assert words[words.index("--assign") + 1] == "1.2=FLAIR"
    assert words[-2:] == ["--jobs", "3"]
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    assert "sequences=FLAIR,T1w" in settings
    assert not any(setting.startswith("seed=") for setting in settings)
    assert apply_settings(find_preset("honest").config, settings) == config


def test_no_command_makes_a_run_with_shuffled_labels_or_of_an_unknown_preset() -> None:
    assert describe_command(tiny_config(), DataSource(root="/data", shuffle_seed=1), 1) == ""
    assert describe_command(RunConfig(preset="custom"), DataSource(root="/data"), 1) == ""
