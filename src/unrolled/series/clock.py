"""The times of a series: how far apart its steps are, what is missing, and what comes next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = ("months", "business days", "seconds", "numbers", "irregular")
_SECONDS = {1: "seconds", 60: "minutes", 3600: "hours", 86_400: "days", 604_800: "weeks"}
_MOST_GAPS = 3
"""Missing steps are filled in while the grid has at most so many times the steps that are there."""


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
        k = np.arange(1, count + 1)
        if not self.dated:
            return last + k * self.step
        if self.kind == "months":
            month = last.astype("datetime64[M]")
            day = last - month.astype("datetime64[s]")
            months = month + (k * int(self.step)).astype("timedelta64[M]")
            ends = (months + 1).astype("datetime64[s]") - np.timedelta64(1, "D")
            if last + np.timedelta64(1, "D") >= (month + 1).astype("datetime64[s]"):  # the last day of its month
                return ends + (last - last.astype("datetime64[D]"))
            return np.minimum(months.astype("datetime64[s]") + day, ends)
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


def read_clock(times: np.ndarray) -> Clock:
    """The clock of increasing times, (T,) dates or numbers: the step that is most common.

    >>> read_clock(np.array(["2020-01-31", "2020-02-29", "2020-03-31"], dtype="datetime64[s]")).name
    'monthly'
    """
    dated = times.dtype.kind == "M"
    if len(times) < 2:
        return Clock("irregular", 1, dated)
    if not dated:
        gaps = np.diff(times)
        step = float(np.median(gaps))
        whole = gaps / step
        regular = np.abs(whole - np.rint(whole)).max() < 1e-3 * max(1.0, whole.max())
        return Clock("numbers" if regular else "irregular", step, False)
    days, months = times.astype("datetime64[D]"), times.astype("datetime64[M]")
    at = (days - months.astype("datetime64[D]")).astype(int)
    ends = (months + 1).astype("datetime64[D]") - days == np.timedelta64(1, "D")
    if len({*(times - days)}) == 1 and (len({*at}) == 1 or ends.all()):
        gaps = np.diff(months).astype(int)
        step = _most_common(gaps)
        if gaps.min() >= 1 and (gaps % step == 0).all():
            return Clock("months", step, True)
    gaps = np.diff(times).astype("timedelta64[s]").astype(np.int64)
    step = _most_common(gaps)
    if step == 86_400 and np.is_busday(days).all() and len({*(times - days)}) == 1:
        longer = np.busday_count(days[:-1], days[1:])[gaps > step]  # 1 over a weekend, more over a holiday
        if len(longer) and (longer == 1).mean() > 0.5:
            return Clock("business days", 1, True)
    if step > 0 and (gaps % step == 0).all():
        return Clock("seconds", step, True)
    return Clock("irregular", float(np.median(gaps)), True)


def positions(clock: Clock, times: np.ndarray) -> np.ndarray:
    """Which step of the grid each time is, (T,) whole numbers from 0.

    Where the grid has far more steps than there are times, as for a few years of data with a hole of a century, and
    for irregular times and business days, whose holidays nobody knows, the steps are the rows.
    """
    rows = np.arange(len(times))
    if clock.kind in ("irregular", "business days") or len(times) < 2:
        return rows
    if clock.kind == "months":
        found = np.diff(times.astype("datetime64[M]").astype(int), prepend=0)
        found = np.cumsum(found) - found[0]
        exact = found / clock.step
    elif clock.kind == "seconds":
        exact = (times - times[0]).astype("timedelta64[s]").astype(np.int64) / clock.step
    else:
        exact = (times - times[0]) / clock.step
    whole = np.rint(exact).astype(np.int64)
    fits = np.abs(exact - whole).max() < 0.5 and (np.diff(whole) > 0).all()
    return whole if fits and whole[-1] + 1 <= (1 + _MOST_GAPS) * len(times) else rows


def label(time: Any) -> str:
    """A time for a person.

    >>> label(np.datetime64("2020-01-01T00:00:00")), label(np.datetime64("2020-01-01T06:30:00")), label(1700.0)
    ('2020-01-01', '2020-01-01 06:30:00', '1700')
    """
    if isinstance(time, np.datetime64):
        text = str(time.astype("datetime64[s]")).replace("T", " ")
        return text.removesuffix(" 00:00:00")
    return f"{float(time):.10g}"


def _most_common(gaps: np.ndarray) -> int:
    return int(Counter(gaps.tolist()).most_common(1)[0][0])
