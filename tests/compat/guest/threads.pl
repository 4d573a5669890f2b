#!/usr/bin/perl
# Perl's threads: an interpreter for each, cloned at its start, over shared
# variables, queues, semaphores, conditions; signals that perl sends itself,
# children, and detached threads.  Prints what must come out whatever the order
# in which the threads ran.

use strict;
use warnings;
use threads;
use threads::shared;
use Thread::Queue;
use Thread::Semaphore;
use POSIX ();

$| = 1;

sub each_of {
	my ($count, $body) = @_;
	my @all = map { my $n = $_; threads->create(sub { $body->($n) }) }
	    0 .. $count - 1;
	return map { $_->join } @all;
}

sub locks {
	my $count :shared = 0;
	my $slots = Thread::Semaphore->new(3);
	my $inside :shared = 0;
	my $most :shared = 0;
	my @got = each_of(40, sub {
		my $n = shift;
		for (1 .. 30) {
			lock($count);
			$count++;
		}
		$slots->down;
		{ lock($inside); $inside++; $most = $inside if $inside > $most; }
		select(undef, undef, undef, 0.001);
		{ lock($inside); $inside--; }
		$slots->up;
		return $n;
	});
	my $sum = 0;
	$sum += $_ for @got;
	print "locks $count $sum ", ($most <= 3 ? "three" : $most), "\n";
}

sub queues {
	my $in = Thread::Queue->new;
	my $out = Thread::Queue->new;
	my @workers = map {
		threads->create(sub {
			my $sum = 0;
			while (defined(my $x = $in->dequeue)) {
				$out->enqueue($x * 2);
				$sum++;
			}
			return $sum;
		})
	} 1 .. 20;
	$in->enqueue(1 .. 500);
	$in->end;
	my $done = 0;
	$done += $_->join for @workers;
	my $total = 0;
	$total += $out->dequeue for 1 .. 500;
	print "queues $done $total\n";
}

sub turns {
	my $at :shared = 0;
	each_of(20, sub {
		my $n = shift;
		for (1 .. 5) {
			lock($at);
			cond_wait($at) until $at % 20 == $n;
			$at++;
			cond_broadcast($at);
		}
	});
	my $never :shared;
	my $timed;
	{
		lock($never);
		$timed = cond_timedwait($never, time + 1);
	}
	print "turns $at ", ($timed ? "woken" : "timed out"), "\n";
}

sub pipes {
	my @sums = each_of(15, sub {
		my $n = shift;
		# No end of the file: other clones may hold the writing end.
		pipe(my $r, my $w) or die;
		my $writer = threads->create(sub {
			for (1 .. 50) {
				syswrite($w, sprintf("%04d\n", $_ + $n));
			}
		});
		my $sum = 0;
		$sum += <$r> for 1 .. 50;
		$writer->join;
		return $sum;
	});
	print "pipes @sums\n";
}

# kill() of a thread object is perl's own: a flag that the thread looks at.
sub killed {
	my $up = Thread::Semaphore->new(0);
	my @all = map {
		threads->create(sub {
			local $SIG{KILL} = sub { threads->exit(7) };
			$up->up;
			select(undef, undef, undef, 0.005) while 1;
		})
	} 1 .. 10;
	$up->down(10);
	$_->kill("KILL") for @all;
	$_->join for @all;
	my @died = map {
		my $t = threads->create({ context => "list" }, sub {
			local $SIG{__WARN__} = sub { };
			die { why => "on purpose" };
		});
		$t->join;
		$t->error->{why};
	} 1 .. 3;
	print "killed @died\n";
}

sub children {
	my @codes = each_of(10, sub {
		my $n = shift;
		my $text = `echo $n; exit $n`;
		return ($text + 0) . ":" . ($? >> 8);
	});
	my @forks = each_of(5, sub {
		my $n = shift;
		my $pid = fork // die;
		POSIX::_exit($n + 10) unless $pid;
		waitpid $pid, 0;
		return $? >> 8;
	});
	print "children @codes @forks\n";
}

sub signals {
	my $seen = 0;
	local $SIG{USR1} = sub { $seen++ };
	local $SIG{ALRM} = sub { die "alarm\n" };
	my $stop :shared = 0;
	# The kernel may pick another thread, and perl then runs no handler.
	my $ours = POSIX::SigSet->new(POSIX::SIGUSR1, POSIX::SIGALRM);
	POSIX::sigprocmask(POSIX::SIG_BLOCK, $ours);
	my @busy = map { threads->create(sub {
		select(undef, undef, undef, 0.002) until $stop;
	}) } 1 .. 20;
	POSIX::sigprocmask(POSIX::SIG_UNBLOCK, $ours);
	for my $n (1 .. 20) {
		kill USR1 => $$;
		select(undef, undef, undef, 0.001) until $seen == $n;
	}
	eval {
		alarm 1;
		select(undef, undef, undef, 30);
		alarm 0;
	};
	my $why = $@;
	$stop = 1;
	$_->join for @busy;
	print "signals $seen $why";
}

locks();
queues();
turns();
pipes();
killed();
children();
signals();
threads->create(sub { sleep 1000 })->detach for 1 .. 3;
exit 3;
