"""Read YAML as people write it: an error is one line that names the file and the line in it. Free of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from favit.sweeps.errors import ConfigError

# Base class of YAML loaders: the C one where libyaml is there, several times as fast.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path | str) -> Any:
    """The content of a YAML file. A key given twice is an error: YAML would silently keep the last."""
    content = b""
    try:
        content = Path(path).read_bytes()
        text = content.decode()
        _check_given_once(yaml.compose(text, Loader=LOADER), str(path))
        return yaml.load(text, Loader=LOADER)
    except FileNotFoundError:
        raise ConfigError(
            f"configuration {path} not found; change to the project's folder or give another file"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigError(_yaml_error(str(path), error)) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}, is not UTF-8 text; save the file as UTF-8") from None
    except (ValueError, OverflowError) as error:  # of the form of a date or a number, and none
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply, or an anchor contains itself") from None


def as_yaml(text: str) -> Any:
    """A plain value as YAML reads it; the text itself where it is more than that, or none."""
    try:
        found = yaml.load(text, Loader=LOADER)
    except (yaml.YAMLError, ValueError):
        return text
    return found if isinstance(found, bool | int | float) else text


def _yaml_error(source: str, error: yaml.YAMLError) -> str:
    """``config.yaml, line 12, is not valid YAML: ...``, with the line where the open part began."""
    problem, began = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    said = [str(part) for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part]
    if problem is None or not said:
        return f"{source} is not valid YAML: {' '.join(str(error).split())}"
    if "cannot start any token" in said[-1]:
        said[-1] += " (YAML is indented with spaces, not tabs)"
    since = f" (begun in line {began.line + 1})" if began is not None and began.line != problem.line else ""
    return f"{source}, line {problem.line + 1}, is not valid YAML: {', '.join(said)}{since}"


def _check_given_once(node: Any, source: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_given_once(item, source)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ConfigError(
                        f"{source}, line {key.start_mark.line + 1}: '{key.value}' is given twice"
                    )
                seen.add(key.value)
            _check_given_once(value, source)
