// Drives a VM with the public QMP client "qemu-qmp", and prints what it got as lines of JSON.
//
// usage: node qmp_client.js SOCKET PICTURE
var QMP = require('qemu-qmp');
var qmp = new QMP();
var events = [];

var session = [
  ['query-status'],
  ['stop'],
  ['query-status'],
  ['send-key', {keys: [{type: 'qcode', data: 'a'}]}],
  ['screendump', {filename: process.argv[3]}],
  ['cont'],
  ['no-such-command'],
  ['quit']
];

function next() {
  var step = session.shift();
  if (!step)
    return setTimeout(function() {
      console.log(JSON.stringify(['events', events]));
      qmp.end();
    }, 200);
  qmp.execute(step[0], step[1] || {}, function(err, answer) {
    console.log(JSON.stringify([step[0], err ? String(err) : answer]));
    next();
  });
}

// Not RESUME: sockets of Node.js have an event of that name.
['stop', 'shutdown'].forEach(function(name) {
  qmp.on(name, function() {
    events.push(name);
  });
});
qmp.connect(process.argv[2], function(err) {
  if (err)
    throw err;
  next();
});
