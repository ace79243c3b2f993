"""The loop: every objective learns, the same bits every time, and a killed run goes on exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from patchlens.errors import TrainingError
from patchlens.pretrain import train as module
from patchlens.pretrain.checkpoint import Row, State
from patchlens.pretrain.objectives import OBJECTIVES, create
from patchlens.pretrain.probe import KnnProbe, Probed
from patchlens.pretrain.recipes import Dino
from patchlens.pretrain.settings import Recipe
from patchlens.pretrain.train import Loop
from pretrain.small import PATCH, RECIPES, small_recipe

STEPS = 20
EVERY = 5  # steps a row


def recipe(objective: str, seed: int = 0, steps: int = STEPS, **shared: Any) -> Recipe:
    """The small recipe with a budget of so many steps, and a checkpoint at every row."""
    small = small_recipe(objective)
    per_window = create(small).seen(1).crops
    changes = {"crops": steps * per_window * small.own.batch, "checkpoint_minutes": 1e-9}
    changed = small.shared.model_copy(update=changes | {"log_every": EVERY} | shared)
    return small.model_copy(update={"shared": changed, "seed": seed})


def loop(chosen: Recipe, frames: NDArray[np.uint8], path: Path | None = None) -> Loop:
    probe = KnnProbe(frames[:4], 2, 3, PATCH, torch.device("cpu"))
    return Loop(create(chosen), torch.from_numpy(frames), probe, path, lambda row: None)


def bits(found: Loop) -> dict[str, bytes]:
    return {name: t.numpy().tobytes() for name, t in found.objective.state_dict().items()}


def done(state: State) -> tuple[int, list[Row], list[Row]]:
    return state.step, state.rows, state.probes


# Every objective; all but one in `make test-slow` alone, as each takes seconds.
ALL = [pytest.param(o, marks=[pytest.mark.slow] * (o != "mae")) for o in sorted(OBJECTIVES)]


def test_every_objective_of_the_settings_is_tested_here() -> None:
    assert set(RECIPES) == set(OBJECTIVES)


@pytest.mark.parametrize("objective", ALL)
def test_loss_falls(objective: str, frames: NDArray[np.uint8]) -> None:
    """Above the teacher's entropy, the least that a student can reach of a teacher that stays.

    Of a moving teacher the loss first rises to log K, while its centre finds its place.
    """
    chosen, settled = recipe(objective, steps=60), 0
    if isinstance(chosen.own, Dino):
        settled = 3  # rows
        own = chosen.own.model_copy(update={"momentum": [1.0, 1.0]})
        chosen = chosen.model_copy(update={"own": own})
    found = loop(chosen, frames)
    found.probe = None
    rows = found.run().rows
    excess = [row["loss"] - row.get("teacher_entropy", 0.0) for row in rows]
    assert np.mean(excess[-3:]) < 0.9 * excess[settled], excess


@pytest.mark.parametrize("objective", ALL)
def test_killed_run_goes_on_exactly_and_two_runs_are_bit_equal(
    objective: str, frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    chosen = recipe(objective, steps=12, log_every=3)
    whole = loop(chosen, frames)
    whole.run()

    class Killed(Exception):
        pass

    def kill(row: Row) -> None:
        if row["step"] == 9:  # after the checkpoint of step 6
            raise Killed

    path = tmp_path / "checkpoint.pt"
    first = loop(chosen, frames, path)
    first.report = kill
    with pytest.raises(Killed):
        first.run()
    torch.manual_seed(123)  # another process has another global state
    reported: list[Row] = []
    second = loop(chosen, frames, path)
    second.report = reported.append
    second.run()
    assert bits(second) == bits(whole)
    assert done(second.state) == done(whole.state)
    assert [r["step"] for r in reported if "loss" in r] == [3, 6, 9, 12]


def test_another_seed_is_another_run(frames: NDArray[np.uint8]) -> None:
    one, other = (loop(recipe("mae", seed), frames) for seed in (0, 1))
    assert bits(one) != bits(other)
    one.run(until=EVERY)
    other.objective.load_state_dict(loop(recipe("mae"), frames).objective.state_dict())
    other.run(until=EVERY)
    assert bits(one) != bits(other)  # seeds decide the draws too, not the weights alone


def test_learning_rate_warms_up_then_falls_to_nothing(frames: NDArray[np.uint8]) -> None:
    chosen = recipe("mae", steps=40, log_every=1)
    own = chosen.own.model_copy(update={"warmup": 0.25})
    found = loop(chosen.model_copy(update={"own": own}), frames)
    found.probe = None
    rates = [row["learning_rate"] for row in found.run().rows]
    assert np.argmax(rates) in (9, 10)
    assert rates[9] == pytest.approx(own.learning_rate)
    assert rates[0] == pytest.approx(own.learning_rate / 10)
    assert rates[-1] < 0.01 * own.learning_rate
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_objective_moves_its_teacher_after_every_step(frames: NDArray[np.uint8]) -> None:
    found, seen = loop(recipe("dino"), frames), list[float]()
    after_step = found.objective.after_step

    def look(progress: float) -> None:
        seen.append(progress)
        after_step(progress)

    found.objective.after_step = look  # type: ignore[method-assign]
    before = found.objective.student().state_dict()["norm.weight"].clone()
    found.run(until=EVERY)
    assert seen == pytest.approx([step / STEPS for step in range(1, EVERY + 1)])
    assert not torch.equal(found.objective.student().state_dict()["norm.weight"], before)


def test_gradient_is_clipped(frames: NDArray[np.uint8]) -> None:
    found = loop(recipe("mae", clip=1e-3), frames)
    seen: list[float] = []

    step = found.optimizer.step

    def look(*args: Any) -> Any:
        gradients = [p.grad.norm() for p in found.parameters if p.grad is not None]
        seen.append(float(torch.stack(gradients).norm()))
        return step(*args)

    found.optimizer.step = look  # type: ignore[method-assign]
    found.step()
    assert seen[0] == pytest.approx(1e-3, rel=1e-3)


def test_nan_stops_the_run_and_is_in_no_checkpoint(
    frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pt"
    found = loop(recipe("mae"), frames, path)
    loss = found.objective.loss

    def broken(batch: Any) -> Any:
        value, logged = loss(batch)
        return value * (float("nan") if found.state.step >= found.steps // 2 else 1), logged

    found.objective.loss = broken
    with pytest.raises(TrainingError, match=r"step 15: loss is nan; lower objectives\.mae\.cpu"):
        found.run()
    again = loop(recipe("mae"), frames, path)
    assert again.run(until=10).step == 10
    assert all(torch.isfinite(p).all() for p in again.objective.parameters())


def test_features_that_are_all_the_same_stop_the_run(frames: NDArray[np.uint8]) -> None:
    found = loop(recipe("mae"), frames)
    found.objective.backbone.norm.weight.data.zero_()
    found.objective.backbone.norm.bias.data.fill_(1)
    with pytest.raises(TrainingError, match="step 0: collapse: all patches have the same feature"):
        found.run()


def test_a_collapse_that_the_objective_sees_stops_the_run(frames: NDArray[np.uint8]) -> None:
    found = loop(recipe("mae"), frames)
    found.objective.collapse = lambda: "why"  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="step 5: collapse: why"):
        found.run()


def test_probe_runs_at_the_start_the_end_and_between(frames: NDArray[np.uint8]) -> None:
    found = loop(recipe("mae"), frames)
    found.probe = lambda model: Probed(0.5, 0.5, 0.5)
    probes = found.run().probes
    assert [row["step"] for row in probes] == [0, 10, 20]
    assert set(probes[0]) == {"step", "probe_miou", "probe_accuracy", "probe_spread"}


def test_seconds_are_those_of_steps_wherever_probes_and_checkpoints_fall(
    frames: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    chosen = recipe("mae")
    every = chosen.shared.probe.model_copy(update={"every": 3 / STEPS})  # not where rows end
    shared = chosen.shared.model_copy(update={"probe": every})
    found = loop(chosen.model_copy(update={"shared": shared}), frames, tmp_path / "checkpoint.pt")
    assert found.probe_every % EVERY

    def taking(seconds: float, call: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*args: Any, **kwargs: Any) -> Any:
            clock[0] += seconds
            return call(*args, **kwargs)

        return slow

    found.step = taking(1.0, found.step)  # type: ignore[method-assign]
    found.probe = taking(100.0, found.probe)
    monkeypatch.setattr(module, "save", taking(1000.0, module.save))
    assert found.run().seconds == STEPS


def test_no_global_state_is_left_changed(frames: NDArray[np.uint8]) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    found = loop(recipe("mae"), frames)
    found.run(until=EVERY)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()
