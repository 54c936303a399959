"""The files that ``dg scaffold defs`` writes for a new component."""

from __future__ import annotations

from importlib.resources import files

from dagster.components import Scaffolder, ScaffoldRequest, scaffold_component


class DefsYamlScaffolder(Scaffolder):
    """Writes a ``defs.yaml`` whose comments name every field, and beside it a copy of the default mapping."""

    def scaffold(self, request: ScaffoldRequest) -> None:
        """Write the files. An existing mapping is kept."""
        if request.scaffold_format != "yaml":
            scaffold_component(request)
            return
        text = (files("orgrecon_pipeline.defs") / "templates" / "defs.yaml").read_text(encoding="utf-8")
        text = text.replace("TYPE_NAME", request.type_name)
        folder = request.target_path.parent if request.append else request.target_path
        if request.append:
            with request.target_path.open("a", encoding="utf-8") as file:
                file.write(f"---\n{text}")
        else:
            (folder / "defs.yaml").write_text(text, encoding="utf-8")
        mapping = folder / "orgrecon.yaml"
        if not mapping.exists():
            default = files("orgrecon_pipeline.config") / "default_mapping.yaml"
            mapping.write_text(default.read_text(encoding="utf-8"), encoding="utf-8")
