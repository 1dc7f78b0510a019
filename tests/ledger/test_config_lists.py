"""What a configuration lists, against a model of a dict each: extensions, policies, virtual machines, nodes."""

from __future__ import annotations

from config_editing import edit
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from changan.crypto.node_ids import node_id
from changan.ledger.config_edits import VM_TYPES
from changan.ledger.wire.messages import ChainConfig, ConfigKeyValue, Policy

NODES = [node_id(f"node {number}".encode()) for number in range(4)]
NAMES = st.sampled_from(["a", "b", "c", "d"])


class Lists(RuleBasedStateMachine):
    """Random edits; each is made where the model says that it may be, and refused elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.config = ChainConfig()
        self.extensions: dict[str, str] = {}
        self.policies: dict[str, str] = {}
        self.machines: list[str] = []
        self.nodes: dict[str, list[str]] = {}

    def agrees(self, said: str, may: bool) -> bool:
        assert (said == "") == may, said
        return may

    @rule(names=st.lists(NAMES, unique=True, max_size=3), value=st.text(max_size=3))
    def add_extensions(self, names, value):
        said = edit(self.config, "CONSENSUS_EXT_ADD", **dict.fromkeys(names, value))
        if self.agrees(said, bool(names) and not set(names) & self.extensions.keys()):
            self.extensions |= dict.fromkeys(sorted(names), value)

    @rule(names=st.lists(NAMES, unique=True, max_size=3), value=st.text(max_size=3))
    def update_extensions(self, names, value):
        known = set(names) & self.extensions.keys()
        if self.agrees(edit(self.config, "CONSENSUS_EXT_UPDATE", **dict.fromkeys(names, value)), bool(known)):
            self.extensions |= dict.fromkeys(known, value)

    @rule(names=st.lists(NAMES, unique=True, max_size=3))
    def delete_extensions(self, names):
        known = set(names) & self.extensions.keys()
        if self.agrees(edit(self.config, "CONSENSUS_EXT_DELETE", **dict.fromkeys(names, "")), bool(known)):
            self.extensions = {name: value for name, value in self.extensions.items() if name not in known}

    @rule(names=st.lists(NAMES, unique=True, max_size=2), number=st.integers(0, 9), change=st.booleans())
    def set_policies(self, names, number, change):
        data = Policy(rule=f" {number} ", role_list=[" admin"]).SerializeToString()
        method = "PERMISSION_UPDATE" if change else "PERMISSION_ADD"
        said = edit(self.config, method, **dict.fromkeys(names, data))
        may = all((name in self.policies) == change for name in names) and bool(names)
        if self.agrees(said, may):
            self.policies |= dict.fromkeys(sorted(names), str(number))

    @rule(names=st.lists(NAMES, unique=True, max_size=2))
    def delete_policies(self, names):
        may = bool(names) and all(name in self.policies for name in names)
        if self.agrees(edit(self.config, "PERMISSION_DELETE", **dict.fromkeys(names, b"")), may):
            for name in names:
                del self.policies[name]

    @rule(kind=st.sampled_from([*sorted(VM_TYPES)[:3], "jvm"]), add=st.booleans(), blanks=st.booleans())
    def machine(self, kind, add, blanks):
        text = f" {kind.upper()}\n" if blanks else kind
        said = edit(self.config, "VM_SUPPORT_LIST_ADD" if add else "VM_SUPPORT_LIST_DEL", vm_type=text)
        may = (kind in VM_TYPES and kind not in self.machines) if add else kind in self.machines
        if self.agrees(said, may):
            self.machines.append(kind) if add else self.machines.remove(kind)

    @rule(org=NAMES, ids=st.lists(st.sampled_from(NODES), unique=True, min_size=1, max_size=2), change=st.booleans())
    def node_organisation(self, org, ids, change):
        said = edit(
            self.config, "NODE_ORG_UPDATE" if change else "NODE_ORG_ADD", org_id=f"{org}\n", node_ids=" ,".join(ids)
        )
        if self.agrees(said, (org in self.nodes) == change):
            self.nodes[org] = list(ids)

    @rule(org=NAMES)
    def node_organisation_leaves(self, org):
        assume(self.nodes)
        if self.agrees(
            edit(self.config, "NODE_ORG_DELETE", org_id=f" {org}"), len(self.nodes) > 1 and org in self.nodes
        ):
            del self.nodes[org]

    @rule(org=NAMES, old=st.sampled_from(NODES), new=st.sampled_from(NODES))
    def node_changes_its_id(self, org, old, new):
        said = edit(self.config, "NODE_ID_UPDATE", org_id=org, node_id=f" {old}", new_node_id=f"{new} ")
        if self.agrees(said, old in self.nodes.get(org, [])):
            self.nodes[org][self.nodes[org].index(old)] = new

    @rule(org=NAMES, ids=st.lists(st.sampled_from(NODES), unique=True, min_size=1, max_size=2))
    def nodes_come(self, org, ids):
        said = edit(self.config, "NODE_ID_ADD", org_id=f" {org}", node_ids=f" {' , '.join(ids)} ")
        if self.agrees(said, org in self.nodes):
            self.nodes[org] += ids

    @rule(org=NAMES, one=st.sampled_from(NODES))
    def node_goes(self, org, one):
        said = edit(self.config, "NODE_ID_DELETE", org_id=f"{org} ", node_id=f"\t{one} ")
        if self.agrees(said, one in self.nodes.get(org, [])):
            self.nodes[org].remove(one)

    @invariant()
    def all_are_listed_in_order(self):
        config = self.config
        assert list(config.consensus.ext_config) == [
            ConfigKeyValue(key=name, value=value) for name, value in self.extensions.items()
        ]
        assert [(entry.resource_name, entry.policy) for entry in config.resource_policies] == [
            (name, Policy(rule=number, role_list=["ADMIN"])) for name, number in self.policies.items()
        ]
        assert list(config.vm.support_list) == self.machines
        assert {node.org_id: list(node.node_id) for node in config.consensus.nodes} == self.nodes


TestLists = Lists.TestCase
