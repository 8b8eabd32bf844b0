# guests: amd64
# limit: 120
# boot: openrc
#
# As inits.sh, with OpenRC.
. /lab/scenarios/inits.sh
