"""The times of a series: how far apart its steps are, what is missing, and what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

KINDS = ("months", "business days", "seconds", "numbers", "irregular")
_SECONDS = {1: "seconds", 60: "minutes", 3600: "hours", 86_400: "days", 604_800: "weeks"}
_PIECE = 1 << 20
_MOST_GAPS = 3
"""Missing steps are filled in while the grid has at most so many times the steps that are there."""


class Times(Protocol):
    """Times in order, read like an array: by a step, by some steps, or by a slice. An array is such times, too."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: Any, /) -> Any: ...


@dataclass(frozen=True)
class Clock:
    """The step of a series.

    Fields:
        kind: one of `KINDS`; the months are of the calendar, the seconds always the same, and ``numbers`` are times
            that are no dates. The steps of an irregular one are its rows.
        step: how many of them; for irregular times the median distance, in seconds or in their own unit.
        dated: whether times are dates; otherwise they are numbers.
    """

    kind: str
    step: float
    dated: bool

    @property
    def name(self) -> str:
        """Of a step.

        >>> Clock("months", 3, True).name, Clock("seconds", 1800, True).name, Clock("numbers", 1, False).name
        ('quarterly', 'every 30 minutes', '1 apart')
        """
        if self.kind == "months":
            known = {1: "monthly", 3: "quarterly", 12: "yearly"}
            return known.get(int(self.step), f"every {self.step:g} months")
        if self.kind == "seconds":
            known = {3600: "hourly", 86_400: "daily", 604_800: "weekly"}
            size = max(unit for unit in _SECONDS if self.step % unit == 0)
            return known.get(int(self.step), f"every {self.step / size:g} {_SECONDS[size]}")
        if self.kind == "business days":
            return "business days"
        return f"{self.step:g} apart" if self.kind == "numbers" else "irregular steps"

    @property
    def season(self) -> int:
        """The steps of the usual season: a year of months, a week of days, a day of hours; 1 for none."""
        if self.kind == "months":
            return int(12 // self.step) if 12 % self.step == 0 else 1
        if self.kind == "business days":
            return 5
        if self.kind == "seconds":
            for period, longest in ((86_400, 3 * 3600), (604_800, 86_400), (31_449_600, 604_800)):
                if self.step <= longest and period % self.step == 0:
                    return int(period // self.step)
        return 1

    @property
    def horizon(self) -> int:
        """The steps ahead that people usually ask for."""
        if self.kind == "months":
            return {1: 12, 3: 8, 12: 6}.get(int(self.step), 12)
        if self.kind == "business days":
            return 10
        if self.kind == "seconds":
            return {86_400: 14, 604_800: 13}.get(int(self.step), 2 * self.season if 1 < self.season <= 48 else 24)
        return 12

    def after(self, last: Any, count: int) -> np.ndarray:
        """The next so many times after ``last``."""
        return self.plus(last, np.arange(1, count + 1))

    def plus(self, last: Any, k: np.ndarray, day: int | None = None) -> np.ndarray:
        """The times so many steps after ``last``; k is 0 or more, and may have any shape.

        Arguments:
            day: of the month, or its last one where it is shorter; see `day_of_month`. None for that of ``last``,
                which means the end of each month if it is one.
        """
        if not self.dated:
            return np.asarray(last + k * self.step)
        if self.kind == "months":
            date = last.astype("datetime64[D]")
            months = last.astype("datetime64[M]") + (k * int(self.step)).astype("timedelta64[M]")
            ends = (months + 1).astype("datetime64[D]") - 1
            wanted = months.astype("datetime64[D]") + ((day or day_of_month(np.array([last]))) - 1)
            times: np.ndarray = np.minimum(wanted, ends).astype("datetime64[s]") + (last - date)
            return times
        if self.kind == "business days":
            day = last.astype("datetime64[D]")
            return np.busday_offset(day, k, roll="backward").astype("datetime64[s]") + (last - day)
        return last + (k * int(self.step)).astype("timedelta64[s]")

    def calendar(self, times: np.ndarray) -> np.ndarray:
        """What is known of any time in advance: the place in the year, the week and the day, as sine and cosine.

        Returns:
            (T, C), C = 0 where times are no dates or the steps are whole years.
        """
        if not self.dated or (self.kind == "months" and self.step >= 12):
            return np.zeros((len(times), 0))
        days = times.astype("datetime64[D]")
        year = days.astype("datetime64[Y]")
        place = [(days - year.astype("datetime64[D]")).astype(float) / 365.25]
        if self.kind != "months":
            seconds = self.step if self.kind != "business days" else 86_400
            if seconds < 604_800:
                place.append((days.astype(int) - 4) % 7 / 7)  # from Monday
            if seconds < 86_400:
                place.append((times - days).astype("timedelta64[s]").astype(float) / 86_400)
        angles = 2 * np.pi * np.stack(place, 1)
        return np.concatenate([np.sin(angles), np.cos(angles)], 1)

    def as_json(self) -> dict[str, Any]:
        """For a side file."""
        return {"kind": self.kind, "step": self.step, "dated": self.dated}


def read_clock(times: Times) -> Clock:
    """The clock of increasing times, (T,) dates or numbers: the step that is most common.

    They are read in pieces, so that long ones need little memory.

    >>> read_clock(np.array(["2020-01-31", "2020-02-29", "2020-03-31"], dtype="datetime64[s]")).name
    'monthly'
    """
    dated = times[:1].dtype.kind == "M"
    if len(times) < 2:
        return Clock("irregular", 1, dated)
    if not dated:
        gaps, counts, _ = _counted(np.diff(some) for some in _pieces(times))
        step = _median(gaps, counts)
        whole = gaps / step
        regular = np.abs(whole - np.rint(whole)).max() < 1e-3 * max(1.0, whole.max())
        return Clock("numbers" if regular else "irregular", step, False)
    places = [_places(some) for some in _pieces(times)]
    same_hour = len(set.union(*(one.hours for one in places))) == 1
    days, ends = (set.union(*each) for each in zip(*((one.days, one.ends) for one in places), strict=True))
    if same_hour and (not days or (len(days) == 1 and max(ends | days) == max(days))):
        gaps, counts, first = _counted(np.diff(some.astype("datetime64[M]").astype(int)) for some in _pieces(times))
        step = _most_common(gaps, counts, first)
        if gaps.min() >= 1 and (gaps % step == 0).all():
            return Clock("months", step, True)
    gaps, counts, first = _counted(np.diff(some).astype(np.int64) for some in _pieces(times))
    step = _most_common(gaps, counts, first)
    if step == 86_400 and same_hour and all(one.business for one in places):
        weekends = [_weekends(some, step) for some in _pieces(times)]
        longer, over_weekends = sum(a for a, _ in weekends), sum(b for _, b in weekends)
        if longer and over_weekends / longer > 0.5:
            return Clock("business days", 1, True)
    if step > 0 and (gaps % step == 0).all():
        return Clock("seconds", step, True)
    return Clock("irregular", _median(gaps, counts), True)


def day_of_month(times: np.ndarray) -> int:
    """The day that dates of a monthly clock have in each month that is long enough; 31 where all end theirs.

    >>> day_of_month(np.array(["2021-01-30", "2021-02-28"], dtype="datetime64[s]"))
    30
    """
    days, is_end = _days(times.astype("datetime64[D]"))
    return 31 if is_end.all() else int(days.max())


def has_gaps(clock: Clock, times: Times) -> bool:
    """Whether steps of the clock are missing between the times, and are few enough to be filled in.

    They are not for a few years of data with a hole of a century, for irregular times, and for business days, whose
    holidays nobody knows: there the rows are the steps.
    """
    if clock.kind in ("irregular", "business days") or len(times) < 2:
        return False
    for some in _pieces(times):
        if (np.diff(steps_after(clock, times[0], some)) <= 0).any():
            return False
    last = int(steps_after(clock, times[0], times[-1:])[0])
    return len(times) < last + 1 <= (1 + _MOST_GAPS) * len(times)


def steps_after(clock: Clock, first: Any, times: np.ndarray) -> np.ndarray:
    """How many steps each time is after the first one, to the nearest."""
    if clock.kind == "months":
        exact = (times.astype("datetime64[M]") - first.astype("datetime64[M]")).astype(int) / clock.step
    elif clock.kind == "seconds":
        exact = (times - first).astype("timedelta64[s]").astype(np.int64) / clock.step
    else:
        exact = (times - first) / clock.step
    found: np.ndarray = np.rint(exact).astype(np.int64)
    return found


def label(time: Any) -> str:
    """A time for a person.

    >>> label(np.datetime64("2020-01-01T00:00:00")), label(np.datetime64("2020-01-01T06:30:00")), label(1700.0)
    ('2020-01-01', '2020-01-01 06:30:00', '1700')
    """
    if isinstance(time, np.datetime64):
        text = str(time.astype("datetime64[s]")).replace("T", " ")
        return text.removesuffix(" 00:00:00")
    return f"{float(time):.10g}"


def _pieces(times: Times) -> Iterator[np.ndarray]:
    """The times, as arrays; each but the first begins with the last time of the one before."""
    for begin in range(0, len(times), _PIECE):
        yield times[max(0, begin - 1) : begin + _PIECE]


@dataclass(frozen=True)
class _Places:
    """Where some dates lie.

    Fields:
        hours: in seconds. days: of the month, of those that do not end one; ends: of those that do.
        business: whether all are weekdays.
    """

    hours: set[int]
    days: set[int]
    ends: set[int]
    business: bool


def _places(times: np.ndarray) -> _Places:
    dates = times.astype("datetime64[D]")
    hours = np.unique((times - dates).astype(np.int64))
    days, is_end = _days(dates)
    within, ends = (set(np.unique(some).tolist()) for some in (days[~is_end], days[is_end]))
    return _Places(set(hours.tolist()), within, ends, bool(np.is_busday(dates).all()))


def _days(dates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The days of the month, from 1, and whether they are its last."""
    months = dates.astype("datetime64[M]")
    days = (dates - months.astype("datetime64[D]")).astype(int) + 1
    return days, (months + 1).astype("datetime64[D]") - dates == np.timedelta64(1, "D")


def _weekends(times: np.ndarray, step: float) -> tuple[int, int]:
    """How many gaps are longer than a step, and how many of them are weekends; the others are holidays."""
    days = times.astype("datetime64[D]")
    longer = np.busday_count(days[:-1], days[1:])[np.diff(times).astype(np.int64) > step]
    return len(longer), int((longer == 1).sum())


def _counted(pieces: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values in all pieces, how often each is there, and where it comes first."""
    found, begin = [], 0
    for piece in pieces:
        values, first, counts = np.unique(piece, return_index=True, return_counts=True)
        found.append((values, counts, first + begin))
        begin += len(piece)
    values, which = np.unique(np.concatenate([one[0] for one in found]), return_inverse=True)
    counts = np.zeros(len(values), dtype=np.int64)
    first = np.full(len(values), begin)
    np.add.at(counts, which, np.concatenate([one[1] for one in found]))
    np.minimum.at(first, which, np.concatenate([one[2] for one in found]))
    return values, counts, first


def _most_common(values: np.ndarray, counts: np.ndarray, first: np.ndarray) -> int:
    """Of several, the one that comes first."""
    most = np.flatnonzero(counts == counts.max())
    return int(values[most[np.argmin(first[most])]])


def _median(values: np.ndarray, counts: np.ndarray) -> float:
    """Of sorted values that are there so often.

    >>> _median(np.array([1.0, 2.0, 5.0]), np.array([1, 1, 2]))
    3.5
    """
    ends, count = counts.cumsum(), int(counts.sum())
    low, high = np.searchsorted(ends, [(count - 1) // 2, count // 2], side="right")
    return float((values[low] + values[high]) / 2)
