"""What is taken away from audits: disk space, and the output for themselves alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spark_ml_audit.outcomes.runs import new_run_id
from tests.datasets import make_dataset
from tests.lake import Lake

pytestmark = pytest.mark.faults


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """A file system of its own, and a function that changes its size."""
    place = tmp_path / "small disk"
    place.mkdir()

    def mount(*options: str) -> subprocess.CompletedProcess[str]:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    try:
        done = mount("size=48k")
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a small file system needs the right to mount one: {done.stderr.strip()}")
    try:
        yield place, lambda size: mount("remount", f"size={size}").check_returncode()
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)


def test_a_full_disk_leaves_no_visible_run_and_the_retry_completes_it(
    lake: Lake, small_disk: tuple[Path, Callable[[str], None]]
) -> None:
    place, resize = small_disk
    source = lake.write(lake.dataset_frame(make_dataset(5, "forest")))
    expected = lake.contents(lake.audit(source__path=source))
    settings = {"source.path": source, "output.path": f"{place}/out", "output.run_id": new_run_id()}
    outcome = lake.run("audit", settings)
    assert outcome.exit_code == 1, outcome.json
    assert outcome.error["message"]
    assert not list(Path(place, "out", "runs", "_delta_log").glob("*.json"))
    resize("64m")
    completed = lake.audit(settings)
    assert not completed["already_finished"]
    assert lake.contents(completed) == expected


@pytest.mark.long  # test_delta.py has the same with threads
def test_two_processes_audit_into_one_new_output(lake: Lake) -> None:
    sources = [lake.write(lake.dataset_frame(make_dataset(seed, "plain"))) for seed in (1, 14)]
    running = [
        lake.start("audit", {"source.path": source, "output.path": lake.path("shared")}) for source in sources
    ]
    results = []
    for process in running:
        out, err = process.communicate(timeout=400)
        assert process.returncode == 0, err
        results.append(json.loads(out))
    for source, result in zip(sources, results, strict=True):
        assert lake.contents(result) == lake.contents(lake.audit(source__path=source))
    assert lake.count(lake.path("shared/runs")) == 2
