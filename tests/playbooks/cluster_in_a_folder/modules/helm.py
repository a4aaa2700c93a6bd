"""In the place of kubernetes.core.helm in check mode: says with which command it would install."""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

OPTIONS = ("binary_path", "name", "chart_ref", "release_namespace", "values_files", "timeout")

module = AnsibleModule(argument_spec={name: {"type": "raw"} for name in OPTIONS}, supports_check_mode=True)
helm, name = Path(module.params["binary_path"]), module.params["name"]
(helm.parent / f"{name}.compared").touch()
values, chart = module.params["values_files"][0], module.params["chart_ref"]
module.exit_json(changed=True, command=f"{helm} upgrade -i --values={values} {name} {chart}")
