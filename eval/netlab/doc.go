// Package netlab builds networks on one machine: hosts are network namespaces,
// wires are pairs of TUN devices with a forwarder between them that gives each
// direction a rate, a delay, jitter, reordering, loss, bursts of loss and a
// finite queue. Programs run on the hosts as they are, over IPv4 and IPv6. The
// package decides what becomes of each packet; a wire's counters tell it.
//
// How a packet crosses a wire:
//
//  1. The kernel of one host hands it to the host's TUN device. No offload is on:
//     it is one IP packet of at most the MTU.
//  2. An engine, one of a few OS threads, reads it and pushes it into the
//     direction's Link with the time. The Link alone decides: queue or drop,
//     serialisation at the rate, loss after that, then the due time. It is pure,
//     and exact to the nanosecond under virtual time.
//  3. When the packet is due, the engine writes it to the other host's device.
//     The receiving kernel's work is done inside that write.
//
// While packets flow an engine naps 50 µs between two looks, so that it needs no
// core of its own; otherwise it sleeps until a packet comes or is due. Its thread
// has real-time priority where allowed, and GOMAXPROCS is raised for its sake
// while a lab lives.
//
// Rate counts bytes of IP packets: a TCP transfer reaches 96.5 % of it at most.
// Multicast of link scope stays on its host. Addresses are of 10.77.0.0/16 and
// fd77::/16; they exist inside the namespaces only, so labs don't disturb each
// other. TCP starts with cubic and remembers nothing of earlier connections.
//
// A lab needs root, /dev/net/tun and the ip command; Supported tells what is
// missing. Close removes everything. Namespaces carry their owner's process id,
// its start time and the boot in their names, so that Sweep, which New calls,
// finds what a killed owner left and kills what runs there.
//
// How much a wire carries, measured on two virtual cores with both ends in the
// same process, while other work kept both cores busy (load average 6; the lower
// of two runs):
//
//	go test -run xxx -bench Saturation -benchtime 1x ./eval/netlab
//
//	setting, Mbit/s   one way   both ways at once   delivered late, mean
//	500                   476       436 + 436       under 0.2 ms
//	800                   749       552 + 552       under 0.6 ms
//	unlimited            1902      1120 + 1119      the cores are full
//
// The figures include TCP's start and end in a transfer of two seconds, and
// headers. An unshaped wire is therefore a LAN of 1 to 2 Gbit/s; 500 Mbit/s each
// way at once is what a busy machine of this size still carries.
//
// What is not guaranteed:
//
//   - An engine reads some 50 µs after a packet came at most, and delivers some
//     tens of µs after it is due. When other programs keep every core busy, the Go
//     scheduler sometimes stops an engine for longer, seldom for as much as 50 ms:
//     Counters.LateMax tells, and a measurement can be thrown away for it. It holds
//     stalls of more than 5 ms before a packet came to an idle link too, as long as
//     the packet may have waited; not the first ones after a second without packets.
//   - The hosts share the machine's cores, disks and memory.
//   - Packets that the kernel drops at a device, because no engine came in time,
//     are counted (Counters.DeviceDrops), not prevented.
package netlab
