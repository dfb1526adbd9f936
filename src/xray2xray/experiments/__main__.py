"""List the experiments: one command each.

python -m xray2xray.experiments
"""

import ast
from pathlib import Path


def commands() -> dict[str, str]:
    """The command of every experiment with the first line of its docstring: each module here that has a `main`."""
    root, found = Path(__file__).parent, {}
    for path in sorted(root.glob("*/**/*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.body):
            name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__main__")
            found[name] = (ast.get_docstring(module) or "").split("\n", 1)[0]
    return dict(sorted(found.items()))


if __name__ == "__main__":
    for name, line in commands().items():
        print(f"python -m xray2xray.experiments.{name}\n    {line}")
