# The settings of sushy-emulator, which reads them as Python. @NAME@ is replaced when it is started.
SUSHY_EMULATOR_FAKE_DRIVER = True
SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'
SUSHY_EMULATOR_LISTEN_PORT = @REDFISH_PORT@
# The default is one folder that all emulators of a machine share.
SUSHY_EMULATOR_STATE_DIR = '@STATE@/emulator'
SUSHY_EMULATOR_AUTH_FILE = '@STATE@/bmc.htpasswd'
SUSHY_EMULATOR_FAKE_SYSTEMS = [
    {
        'uuid': '00000000-0000-4000-8000-%012d' % i,
        'name': 'system-%03d' % i,
        'power_state': 'Off',
        'external_notifier': False,
        'nics': [{'mac': '52:54:00:00:%02x:%02x' % (i // 256, i % 256), 'ip': '192.0.2.1'}],
    }
    for i in range(1, @SYSTEMS@ + 1)
]


def _fix_power_delay():
    # By itself the emulator shows a change of power a random 1 to 11 seconds after it was asked for.
    import random
    from sushy_tools.emulator.resources.systems import fakedriver

    class Fixed:
        @staticmethod
        def randint(_low, _high):
            return random.randint(@POWER_DELAY_LOW_S@, @POWER_DELAY_HIGH_S@)
    fakedriver.random = Fixed


_fix_power_delay()
