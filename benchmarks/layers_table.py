"""What layers.py shows to people: tables of 80 columns, or in Markdown for the documentation."""

from __future__ import annotations

from competitors import BUILT_IN

FAILED, BUSY, NONE = "FAILED", "busy", "-"
BUILT_IN_HEAD = (
    f"{'':<22} {'train, ms':>13} {'torch.nn/ours':>13} {'of':>4} {'train / ours':>13} {'MiB':>9}\n"
    f"{'cell':<5} {'T,N,D,H':<16} {'ours':>6} {'torch':>6} {'train':>6} {'forw.':>6} {'lim.':>4} {'jax':>6}"
    f" {'loop':>6} {'ours/nn':>9}"
)
OWN_HEAD = (
    f"\n{'':<26} {'train, ms':>13} {'LSTM/ours':>13} {'loop/ours':>13} {'of':>4}\n"
    f"{'own cell':<9} {'T,N,D,H':<16} {'ours':>6} {'LSTM':>6} {'train':>6} {'forw.':>6} {'train':>6} {'forw.':>6}"
    f" {'lim.':>4} {'MiB':>5}"
)


MARKDOWN = (
    "| cell | T, N, D, H | train: torch.nn | forward: torch.nn | train: JAX | train: loop | of the limit |"
    " MiB: ours, torch.nn |\n"
    "|---|---|---|---|---|---|---|---|"
)


def markdown(row: dict) -> str:
    """A row of the documentation's table; cells that could not be measured are empty."""
    name = {"lstm": "LSTM", "elman": "Elman", "gru": "GRU"}.get(row["cell"], row["cell"])
    cells = [_ratio(row, "train", "torch.nn"), _ratio(row, "forward", "torch.nn"), _ratio(row, "train", "jax")]
    cells += [_ratio(row, "train", "eager"), _of_limit(row).replace("%", " %"), _memory(row, ", ")]
    empty = (BUSY, NONE)
    return f"| {name} | {', '.join(map(str, row['shape']))} | {' | '.join('' if c in empty else c for c in cells)} |"


class Table:
    """Prints each row when it is known; quiet prints nothing."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.head = quiet, ""

    def say(self, text: str, head: str = "") -> None:
        if self.quiet:
            return
        if head and head != self.head:
            print(head)
            self.head = head
        print(text, flush=True)

    def machine(self, machine: dict) -> None:
        jax = f"jax {machine['jax']}" if machine["jax"] else "no jax"
        self.say(f"{machine['processor']}")
        held = ", all that compete held to it" if machine["held"] else ""
        self.say(f"{machine['threads']} threads, {machine['path']}{held}; torch {machine['torch']}, {jax}")
        shares = (f"{name} {_share(of)}" for name, of in machine["products_of_limit"].items())
        top = _number(machine["limit_gflops"], 0)
        self.say(f"lim.: of multiply-adds between registers, {top} GF/s; of a product of 2048^3: {', '.join(shares)}")
        if not machine["others_watched"]:
            self.say("no /proc/stat: no sample was thrown away, however busy other processes were")
        self.say("train: forward and backward; ratios above 1: ours is faster")
        self.say("torch.nn.GRU resets after the recurrent matrix, ours before it, at the same cost")

    def row(self, row: dict) -> None:
        if row["cell"] in BUILT_IN:
            self.say(_built_in(row), BUILT_IN_HEAD)
        else:
            self.say(_own(row), OWN_HEAD)
        self.failures(row)

    def lengths(self, row: dict) -> None:
        T, N, *_ = row["shape"]
        train, forward = (_number(_state(row, "lengths", row.get(f"{w}_ratio")), 2) for w in ("train", "forward"))
        head = "\nrandom lengths: time with them / time without"
        share = row["steps"] / (T * N)
        self.say(f"{row['cell']:<9} train {train:>6}  forward {forward:>6}  steps {share:>4.0%} of T*N", head)
        self.failures(row)

    def failures(self, row: dict) -> None:
        for name, text in row["failed"].items():
            self.say(f"  {FAILED}, {name}: {text}")

    def means(self, means: list[dict]) -> None:
        head = f"\ngeometric means\n{'cell':<9} {'size':<5} {'ratio to':<8} {'train':>6} {'forward':>7}  shapes"
        for mean in means:
            for name, train in mean["train_ratio"].items():
                forward = _number(mean["forward_ratio"].get(name), 2)
                shapes = f"{mean['train_ratio_shapes'][name]} of {mean['shapes']}"
                label = {"eager": "loop", "lstm": "LSTM"}.get(name, name)
                self.say(
                    f"{mean['cell']:<9} {mean['size']:<5} {label:<8} {_number(train, 2):>6} {forward:>7}  {shapes}",
                    head,
                )


def _built_in(row: dict) -> str:
    return (
        f"{row['cell']:<5} {_shape(row):<16} {_ms(row, 'ours'):>6} {_ms(row, 'torch.nn'):>6}"
        f" {_ratio(row, 'train', 'torch.nn'):>6} {_ratio(row, 'forward', 'torch.nn'):>6} {_of_limit(row):>4}"
        f" {_ratio(row, 'train', 'jax'):>6} {_ratio(row, 'train', 'eager'):>6} {_memory(row, '/'):>9}"
    )


def _memory(row: dict, between: str) -> str:
    """Ours and torch.nn's."""
    memory = row.get("memory_mib", {})
    return between.join(_number(memory.get(name), 0) for name in ("ours", "torch.nn"))


def _own(row: dict) -> str:
    return (
        f"{row['cell']:<9} {_shape(row):<16} {_ms(row, 'ours'):>6} {_ms(row, 'lstm'):>6}"
        f" {_ratio(row, 'train', 'lstm'):>6} {_ratio(row, 'forward', 'lstm'):>6}"
        f" {_ratio(row, 'train', 'eager'):>6} {_ratio(row, 'forward', 'eager'):>6}"
        f" {_of_limit(row):>4} {_number(row.get('memory_mib', {}).get('ours'), 0):>5}"
    )


def _shape(row: dict) -> str:
    return ",".join(map(str, row["shape"]))


def _ms(row: dict, name: str) -> str:
    figures = row.get("train", {}).get(name)
    value = figures["ms"] if figures else NONE
    return _number(_state(row, name, value), 2)


def _ratio(row: dict, what: str, name: str) -> str:
    return _number(_state(row, name, row.get(f"{what}_ratio", {}).get(name, NONE)), 2)


def _of_limit(row: dict) -> str:
    return NONE if "ours" in row["failed"] else _share(row["of_limit"])


def _share(share: float | None) -> str:
    return BUSY if share is None else f"{share:.0%}"


def _state(row: dict, name: str, value: float | str | None) -> float | str:
    """The value, or why there is none."""
    if name in row["failed"] or "ours" in row["failed"]:
        return FAILED
    return BUSY if value is None else value


def _number(value: float | str | None, digits: int) -> str:
    if value is None:
        return NONE
    return value if isinstance(value, str) else f"{value:.{digits}f}" if value < 1000 else f"{value:.0f}"
