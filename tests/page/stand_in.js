// Stands in for WebRTC in the page: what it sends is kept in `standIn.sent`, and a test tells it what it hears.
window.standIn = {
  sent: [],
  peers: [],
  waiting: [],
  send(text) {
    this.sent.push(JSON.parse(text));
    this.waiting = this.waiting.filter(({ count, resolve }) => this.sent.length < count || resolve());
  },
  /** Until so many events were sent. */
  until(count) {
    return new Promise((resolve) => (this.sent.length < count ? this.waiting.push({ count, resolve }) : resolve()));
  },
  tell(event) {
    this.peers.at(-1).channel.onmessage({ data: JSON.stringify(event) });
  },
  lose() {
    const peer = this.peers.at(-1);
    peer.connectionState = "failed";
    peer.onconnectionstatechange();
  },
  disturb() {
    const peer = this.peers.at(-1);
    peer.connectionState = "disconnected";
    peer.onconnectionstatechange();
  },
  end() {
    this.peers.at(-1).channel.onclose();
  },
};

window.RTCPeerConnection = class {
  connectionState = "new";
  localDescription = { type: "offer", sdp: "v=0\r\n" };

  constructor() {
    window.standIn.peers.push(this);
  }
  addTrack(track) {
    this.track = track;
  }
  addTransceiver(kind, options) {
    this.direction = options.direction;
  }
  createDataChannel(label) {
    const channel = { label, readyState: "connecting", send: (text) => window.standIn.send(text), close() { this.readyState = "closed"; } };
    this.channel = channel;
    return channel;
  }
  async setLocalDescription() {}
  async setRemoteDescription() {
    this.connectionState = "connected";
    setTimeout(() => {
      this.channel.readyState = "open";
      this.channel.onopen();
    });
  }
  close() {
    this.isClosed = true;
  }
};
