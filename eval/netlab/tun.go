package netlab

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const tunPath = "/dev/net/tun"

// openTUN makes a TUN device in the namespace of the calling thread. The device
// goes away when the descriptor is closed. Reads never block; each read and each
// write is one IP packet.
func openTUN(device string) (fd int, err error) {
	fd, err = unix.Open(tunPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("netlab: %w", &os.PathError{Op: "open", Path: tunPath, Err: err})
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("netlab: making TUN device %q: %w", device, err)
	}
	return fd, nil
}
