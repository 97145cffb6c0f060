"""Check images and pack them, many shards at a time; a shard that is finished is never made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

from favit.data import _times
from favit.data._index import IN_PLACE, Index, Part, Shard
from favit.data._jpeg import Encoded
from favit.data._times import Stat
from favit.disk.files import atomic_path, write_atomic
from favit.prepare.sources import Example, Found

EXAMPLES_A_SHARD = 10_000  # about a gigabyte of photographs
_RECORDS = ".prepare"  # what is known of finished shards, below the data set's folder


@dataclass(frozen=True)
class Job:
    """One shard to be made."""

    folder: Path
    name: str  # train-00007-of-00129
    images: str  # PACKED or IN_PLACE
    examples: Sequence[Example]

    @property
    def key(self) -> str:
        """What the shard's content follows from, as far as names tell."""
        rows = [self.images, *(f"{e.label}\t{e.name}" for e in self.examples)]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    @property
    def record(self) -> Path:
        """Where it is noted that the shard is finished."""
        return self.folder / _RECORDS / f"{self.name}.json"


@dataclass
class Finished:
    """What became of a job's examples."""

    key: str
    shard: Shard
    rows: list[tuple[int, str]]  # label and name of what is in it
    stats: list[Stat] = field(default_factory=list)  # of its file or, in place, of each image
    left_out: list[str] = field(default_factory=list)
    cmyk: list[str] = field(default_factory=list)
    not_jpeg: list[str] = field(default_factory=list)


def jobs(found: Found, folder: Path, images: str, a_shard: int) -> dict[str, list[Job]]:
    """Part -> its shards, in order."""
    made = {}
    for part, examples in found.parts.items():
        shards = [examples[i : i + a_shard] for i in range(0, len(examples), a_shard)]
        names = (f"{part}-{i:05d}-of-{len(shards):05d}" for i in range(len(shards)))
        made[part] = [Job(folder, n, images, s) for n, s in zip(names, shards, strict=True)]
    return made


def run_all(wanted: Iterable[Job], workers: int) -> Iterator[tuple[Job, Finished]]:
    """Make the shards in ``workers`` processes; yields each as it is finished, those of earlier times first."""
    waiting = []
    for job in wanted:
        if (finished := _finished_before(job)) is not None:
            yield job, finished
        else:
            waiting.append(job)
    with ProcessPoolExecutor(workers) as pool:
        begun = {pool.submit(make, job): job for job in waiting}
        try:
            for future in as_completed(begun):
                yield begun[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def make(job: Job) -> Finished:
    """Check and pack one shard's images, and note that it is finished."""
    done = Finished(job.key, Shard("", 0, 0, ""), [])
    digest, size = hashlib.sha256(), 0
    sound = _sound(job, done)
    if job.images == IN_PLACE:
        for data in sound:
            digest_one(digest, data)
            size += len(data)
        done.shard = Shard("", len(done.rows), size, digest.hexdigest())
    else:
        file = f"{job.name}.array_record"
        with atomic_path(job.folder / file) as temporary:
            _write(temporary, sound, digest)
            _reread(temporary, len(done.rows))
            size = temporary.stat().st_size
        done.shard = Shard(file, len(done.rows), size, digest.hexdigest())
        done.stats = [_times.stat_of(job.folder / file)]
    write_atomic(job.record, json.dumps(asdict(done)))
    return done


def index(classes: Sequence[str], images: str, parts: dict[str, list[Finished]], folder: Path) -> Index:
    """Write the listings; returns the index, which names them and all shards."""
    found, everything = {}, [f for shards in parts.values() for f in shards]
    for part, shards in parts.items():
        rows = [f"{label}\t{name}\n" for shard in shards for label, name in shard.rows]
        listing = "".join(rows).encode()
        write_atomic(folder / f"{part}.tsv", listing)
        _times.keep(folder, part, (stat for shard in shards for stat in shard.stats))
        sha256 = hashlib.sha256(listing).hexdigest()
        found[part] = Part(len(rows), f"{part}.tsv", sha256, tuple(s.shard for s in shards))
    return Index(
        images,
        tuple(classes),
        found,
        left_out=tuple(name for f in everything for name in f.left_out),
        cmyk=tuple(name for f in everything for name in f.cmyk),
        not_jpeg=tuple(name for f in everything for name in f.not_jpeg),
    )


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of processes that were killed."""
    for place in (folder, folder / _RECORDS):
        for path in place.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def _sound(job: Job, done: Finished) -> Iterator[bytes]:
    """The images that can be decoded; ``done`` is told of all."""
    for example in job.examples:
        stat = _times.stat_of(example.path)  # before it is read: what is written then is noticed
        data = example.read()
        try:
            image = Encoded(data)
            image.decode()
        except ValueError:
            done.left_out.append(example.name)
            continue
        if image.is_cmyk:
            done.cmyk.append(example.name)
        if not image.is_jpeg:
            done.not_jpeg.append(example.name)
        done.rows.append((example.label, example.name))
        if job.images == IN_PLACE:
            done.stats.append(stat)
        yield data


def _write(path: Path, records: Iterable[bytes], digest: hashlib._Hash) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    # One record a group, or reading one would read its neighbours; photographs are compressed already
    writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
    for data in records:
        digest_one(digest, data)
        writer.write(data)
    writer.close()


def _reread(path: Path, examples: int) -> None:
    # A writer without space says nothing, and what it leaves reads as a file without records
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(path))
    there = reader.num_records()
    reader.close()
    if there != examples:
        raise OSError(f"{path}: only {there} of {examples} images could be written; is the disk full?")


def digest_one(digest: hashlib._Hash, data: bytes) -> None:
    """Add one image to the digest of a shard's content, so that no two rows of images are taken for each other."""
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)


def _finished_before(job: Job) -> Finished | None:
    try:
        content = json.loads(job.record.read_text())
        shard = Shard(**content["shard"])
        rows = [(label, name) for label, name in content["rows"]]
        files = [name for _, name in rows] if job.images == IN_PLACE else [shard.file]
        stats = [(size, time) for size, time in content["stats"]]
        whole = _times.look(job.folder, files) == stats
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if content["key"] != job.key or not whole:
        return None
    return Finished(**{**content, "shard": shard, "rows": rows, "stats": stats})
