dist_man_MANS += man/unatatp.8 man/unatatp.conf.5
