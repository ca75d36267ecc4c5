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
// same process, while other work kept both cores busy (load average 8):
//
//	go test -run xxx -bench Saturation -benchtime 1x ./eval/netlab
//
//	setting, Mbit/s   one way   both ways      delivered late, mean
//	100                    98   95 + 95        under 0.3 ms
//	500                   467   396 + 396      under 0.2 ms
//	800                   732   589 + 588      under 0.2 ms
//	unlimited            1596   1165 + 1165    it saturates: the cores are full
//
// The figures include TCP's start and end; a transfer lasts two seconds. Up to
// about 600 Mbit/s each way at once, a wire is the limit that its settings say;
// above, the two cores are. An unshaped wire is therefore a LAN of 1 to 2 Gbit/s.
//
// What is not guaranteed: an engine reads at most some 50 µs after a packet came
// and delivers some tens of µs after it is due, more on a machine that is busy
// with real-time work (Counters.LateMean, LateMax); the hosts share the machine's
// cores, disks and memory; packets that the kernel drops at a device, because an
// engine did not come in time, are counted (Counters.DeviceDrops), not prevented.
package netlab
