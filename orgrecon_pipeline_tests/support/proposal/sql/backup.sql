CREATE TABLE public.users_backup AS TABLE public.users;
CREATE TABLE public.users_20260101 AS TABLE public.users;
CREATE TABLE public.users_history AS TABLE public.users;
