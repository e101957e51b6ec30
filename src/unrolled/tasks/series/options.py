"""What a person can say about a time series. No torch here, so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from unrolled.errors import UsageError
from unrolled.options import check, check_one_of, check_types, option, percentages

FORCINGS = ("teacher-forced", "free-running")
HEADS = ("student-t", "gaussian", "quantiles", "negative-binomial")
TRANSFORMS = ("level", "sqrt", "differences", "returns")


@dataclass(frozen=True)
class SeriesOptions:
    """Settings of the series task; None where the program is to choose.

    ``forcing`` says what the network reads behind the origin of a forecast: in training the true values, and in a
    forecast its own draws (teacher-forced); or nothing, in both (free-running). ``patch`` is for free-running
    networks: so many steps of the series are one step of the network.
    """

    horizon: int | None = option(None, "Steps to forecast (default: by the data).", metavar="H")
    season: int | None = option(None, "Steps of a season; 1 for none (default: by the data).", metavar="S")
    time: str | None = option(
        None, "Column of times (default: by its name or dates).", metavar="COLUMN", is_name=True
    )
    target: str | None = option(
        None,
        "Columns to forecast, with commas (default: the first column of numbers).",
        metavar="COLUMNS",
        is_name=True,
    )
    id: str | None = option(
        None, "Column with the names of the series, if there are many.", metavar="COLUMN", is_name=True
    )
    covariates: str | None = option(None, "Columns known in advance, with commas.", metavar="COLUMNS", is_name=True)
    split: str = option("70/10/20", "Training/validation/test in percent (70/10/20).", metavar="A/B/C")
    transform: str | None = option(
        None, "level, sqrt, differences or returns (default: by the data).", metavar="KIND"
    )
    head: str | None = option(
        None, "student-t, gaussian, quantiles or negative-binomial (default: by the data).", metavar="KIND"
    )
    forcing: str | None = option(None, "teacher-forced or free-running (default: by the data).", metavar="KIND")
    context: int | None = option(None, "Steps read before a forecast (default: by the data).")
    patch: int | None = option(None, "Steps read at once, when free-running (default: a twelfth of the horizon).")

    def __post_init__(self) -> None:
        check_types(self)
        for name, kinds in (("transform", TRANSFORMS), ("head", HEADS), ("forcing", FORCINGS)):
            if getattr(self, name) is not None:
                check_one_of(self, name, kinds)
        for name in ("horizon", "season", "context", "patch"):
            value = getattr(self, name)
            check(value is None or value >= 1, name, f"must be a whole number from 1, got {value}")
        if (self.patch or 1) > 1 and self.forcing == "teacher-forced":
            raise UsageError("--patch: a teacher-forced network reads one step at a time: leave out --patch")
        counts = self.head == "negative-binomial" and self.transform in ("differences", "returns")
        check(not counts, "transform", f"counts of {self.head} are levels: choose level or sqrt")
        self.shares()

    def shares(self) -> tuple[int, int, int]:
        """The split as three whole percentages."""
        return percentages(self.split, "70/10/20")
