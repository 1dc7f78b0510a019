"""The running machine: the only place with sockets, clocks and disks."""
