package netlab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const maxHosts = 1000

// hostName bounds names so that a device's name, "to-" and a host's, fits the kernel.
var hostName = regexp.MustCompile(`^[a-z0-9]{1,12}$`)

// Host is a network namespace with one address of each family.
type Host struct {
	lab   *Lab
	name  string
	ns    *namespace
	addr4 netip.Addr
	addr6 netip.Addr
	ports []*port
	via   map[*Host]string // device of the route to each host
	gate  string           // device of the default route
}

// port is a host's end of a wire.
type port struct {
	host, peer *Host
	device     string
	fd         int
}

// Host makes a host, or returns the one of that name. Names are 1 to 12 of a-z0-9.
func (l *Lab) Host(name string) (*Host, error) {
	if !hostName.MatchString(name) {
		return nil, fmt.Errorf("netlab: host name %q is not 1 to 12 of a-z0-9", name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	for _, h := range l.hosts {
		if h.name == name {
			return h, nil
		}
	}
	if len(l.hosts) == maxHosts {
		return nil, fmt.Errorf("netlab: host %s: a lab has at most %d hosts", name, maxHosts)
	}
	return l.newHost(name)
}

func (l *Lab) newHost(name string) (*Host, error) {
	ns, err := addNamespace(namespaceName(l.owner, l.serial, name))
	if err != nil {
		return nil, err
	}
	h := &Host{lab: l, name: name, ns: ns, via: make(map[*Host]string)}
	h.addr4, h.addr6 = addresses(len(l.hosts))
	l.hosts = append(l.hosts, h)
	return h, h.configure()
}

// addresses are 10.77.0.1, fd77::1 for the first host and so on.
func addresses(i int) (netip.Addr, netip.Addr) {
	hi, lo := byte(i/250), byte(i%250+1)
	return netip.AddrFrom4([4]byte{10, 77, hi, lo}), netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x77, 14: hi, 15: lo})
}

func (h *Host) configure() error {
	if err := h.ns.ip([]string{"link set lo up"}); err != nil {
		return err
	}
	settings := map[string]string{
		"ipv4/ip_forward":             "1",
		"ipv4/conf/all/rp_filter":     "0",
		"ipv4/conf/default/rp_filter": "0",
		"ipv4/tcp_no_metrics_save":    "1",
		"ipv6/conf/all/forwarding":    "1",
	}
	if n := h.lab.cfg.TCPBufferMax; n > 0 {
		settings["ipv4/tcp_rmem"] = fmt.Sprintf("4096 %d %d", min(131072, n), n)
		settings["ipv4/tcp_wmem"] = fmt.Sprintf("4096 %d %d", min(16384, n), n)
	}
	for key, value := range settings {
		if err := h.Sysctl(key, value); err != nil {
			return err
		}
	}
	return h.SetCongestionControl(h.lab.cfg.CongestionControl)
}

// Sysctl sets a file under /proc/sys/net as the host sees it.
func (h *Host) Sysctl(key, value string) error {
	path := filepath.Join("/proc/sys/net", key)
	err := h.ns.do(func() error { return os.WriteFile(path, []byte(value), 0) })
	if err != nil {
		return fmt.Errorf("netlab: host %s: setting %q: %w", h.name, value, err)
	}
	return nil
}

const (
	ccKey       = "ipv4/tcp_congestion_control"
	availableCC = "/proc/sys/net/ipv4/tcp_available_congestion_control"
	allowedCC   = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
)

// SetCongestionControl chooses the host's TCP congestion control for connections
// made from then on. A namespace may choose only what the machine allows to all:
// where the machine has the algorithm but restricts it, it is allowed first, and
// stays so.
func (h *Host) SetCongestionControl(name string) error {
	err := h.Sysctl(ccKey, name)
	if err == nil || !errors.Is(err, unix.EPERM) {
		return err
	}
	if b, readErr := os.ReadFile(availableCC); readErr == nil {
		if os.WriteFile(allowedCC, b, 0) == nil {
			return h.Sysctl(ccKey, name)
		}
	}
	return err
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// Namespace returns the name that ip netns knows the host by.
func (h *Host) Namespace() string { return h.ns.name }

// Addr4 returns the host's IPv4 address.
func (h *Host) Addr4() netip.Addr { return h.addr4 }

// Addr6 returns the host's IPv6 address.
func (h *Host) Addr6() netip.Addr { return h.addr6 }

// Command is exec.CommandContext for a program that runs on the host. Closing
// the lab kills it.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.ns.name, name}, args...)...)
}

// Do runs f on a thread inside the host. Sockets that f opens belong to the host
// for good; goroutines that f starts do not.
func (h *Host) Do(f func() error) error { return h.ns.do(f) }

func (h *Host) addPort(peer *Host) (*port, error) {
	p := &port{host: h, peer: peer, device: "to-" + peer.name}
	err := h.ns.do(func() (err error) {
		p.fd, err = openTUN(p.device)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.name, err)
	}
	h.ports = append(h.ports, p)
	if err := h.ns.ip(p.setup()); err != nil {
		h.dropPort(p)
		return nil, err
	}
	return p, nil
}

// setup brings the device up with nothing sent by itself: no multicast, no
// link-local address, so that the counters count the hosts' traffic alone.
func (p *port) setup() []string {
	return []string{
		fmt.Sprintf("link set dev %s addrgenmode none", p.device),
		fmt.Sprintf("link set dev %s mtu %d txqueuelen %d multicast off", p.device, p.host.lab.cfg.MTU, deviceQueue),
		fmt.Sprintf("link set dev %s up", p.device),
		fmt.Sprintf("addr add %s/32 dev %s", p.host.addr4, p.device),
		fmt.Sprintf("addr add %s/128 dev %s nodad", p.host.addr6, p.device),
	}
}

func (h *Host) dropPort(p *port) {
	unix.Close(p.fd)
	for i := range h.ports {
		if h.ports[i] == p {
			h.ports = append(h.ports[:i], h.ports[i+1:]...)
			return
		}
	}
}

func (h *Host) portTo(peer *Host) *port {
	for _, p := range h.ports {
		if p.peer == peer {
			return p
		}
	}
	return nil
}

func (h *Host) remove() error {
	for _, p := range h.ports {
		unix.Close(p.fd)
	}
	return h.ns.remove()
}

// drops are the packets that the kernel dropped at a device.
type drops struct{ sent, received int64 }

func (p *port) drops() (d drops, err error) {
	err = p.host.ns.do(func() error {
		f, err := os.Open("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			name, rest, _ := strings.Cut(lines.Text(), ":")
			if strings.TrimSpace(name) == p.device {
				d, err = parseDrops(rest)
				return err
			}
		}
		return errors.Join(lines.Err(), os.ErrNotExist)
	})
	if err != nil {
		return d, fmt.Errorf("netlab: host %s, device %s: %w", p.host.name, p.device, err)
	}
	return d, nil
}

// parseDrops reads the 4th and the 12th column: drops of what was received, of
// what was sent.
func parseDrops(columns string) (d drops, err error) {
	f := strings.Fields(columns)
	if len(f) < 12 {
		return d, fmt.Errorf("%d columns in net/dev", len(f))
	}
	if d.received, err = strconv.ParseInt(f[3], 10, 64); err != nil {
		return d, err
	}
	d.sent, err = strconv.ParseInt(f[11], 10, 64)
	return d, err
}
