"""Which steps are done to a raw study, in which order."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.errors import ConfigError

Step = Literal["orient", "n4", "register", "brain", "grid"]
STEPS: tuple[Step, ...] = ("orient", "n4", "register", "brain", "grid")
"""In the order in which they are done."""
RAW_VERSION = 1
"""Of what the steps compute: raise it whenever the same study would come out otherwise."""
INSTALL = (
    "pip install --no-deps -r requirements-raw.txt. Without it leave the step out: --steps orient n4 register grid."
)
STEP_TITLES: dict[Step, str] = {
    "orient": "Orientation",
    "n4": "Bias field (N4)",
    "register": "Registration to T1wCE",
    "brain": "Brain extraction",
    "grid": "Common grid",
}


class RawConfig(BaseModel):
    """How a raw study is processed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Step, ...] = STEPS
    """The steps that are done: 'orient' turns the voxels to axial slices without interpolation, 'n4' takes out the coil's uneven brightness, 'register' moves every series onto T1wCE, 'brain' sets what lies outside the brain to 0, 'grid' resamples all to one axial grid."""
    grid_mm: Annotated[float, Field(ge=0.5, le=5)] = 1.0
    """Distance between the voxels of the common grid."""

    @property
    def name(self) -> str:
        """The processing in one line, as it is written beside each image."""
        done = [f"grid {self.grid_mm:g} mm" if step == "grid" else step for step in STEPS if step in self.steps]
        return f"raw {RAW_VERSION}: {', '.join(done) or 'as it came'}"


def require_raw() -> None:
    """Refuse to process from raw where what it needs is not installed.

    Raises
    ------
    ConfigError
        This is the small environment of ``make demo``.
    """
    if find_spec("SimpleITK") is None:
        raise ConfigError(
            "Processing from raw needs SimpleITK and PyTorch, which make demo leaves out; make app installs them."
        )
